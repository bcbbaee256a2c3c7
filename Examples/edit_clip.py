#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Edits a clip with libfatezero, between two ffmpegs. Python's own ctypes is all it needs.

    python3 edit_clip.py cat.mp4 tiger.mp4 "a [cat -> tiger] on the grass" steps=20 clip-length=16
"""
import ctypes
import signal
import subprocess
import sys
import threading
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_void_p

OK, AGAIN = 0, 1
RGB24 = 0


class Frame(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("width", c_int32), ("height", c_int32), ("format", c_int), ("data", c_void_p),
        ("stride", c_ssize_t), ("pts", c_int64)]


Cancel = ctypes.CFUNCTYPE(c_int, c_void_p)


class Callbacks(ctypes.Structure):
    # As far as they are used here; struct_size says so.
    _fields_ = [("struct_size", c_size_t), ("user_data", c_void_p), ("progress", c_void_p), ("cancel", Cancel)]


library = ctypes.CDLL("libfatezero.so.0")


def function(name, result, *arguments):
    found = getattr(library, "fatezero_" + name)
    found.restype, found.argtypes = result, arguments
    return found


create = function("create", c_void_p)
destroy = function("destroy", None, c_void_p)
error = function("error", c_char_p, c_void_p)
set_callbacks = function("set_callbacks", c_int, c_void_p, ctypes.POINTER(Callbacks))
set_text = function("set", c_int, c_void_p, c_char_p, c_char_p)
push = function("push", c_int, c_void_p, ctypes.POINTER(Frame))
receive = function("receive", c_int, c_void_p, ctypes.POINTER(Frame))
drain = function("drain", c_int, c_void_p)


def main(source, result, *settings):
    width, height, rate = subprocess.check_output(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height,r_frame_rate",
         "-of", "csv=p=0", source], text=True).strip().split(",")

    context = create()

    def check(status):
        if status != OK:
            sys.exit(error(context).decode())

    # Ctrl-C ends the edit: Python looks at its signals whenever the library calls back.
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    cancel = Cancel(lambda _: stop.is_set())
    check(set_callbacks(context, Callbacks(ctypes.sizeof(Callbacks), None, None, cancel)))
    for setting in settings:
        name, _, text = setting.partition("=")
        check(set_text(context, name.encode(), text.encode()))

    pixels = (ctypes.c_uint8 * (3 * int(width) * int(height)))()
    frame = Frame(
        ctypes.sizeof(Frame), int(width), int(height), RGB24, ctypes.addressof(pixels), 3 * int(width), 0)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    reader = subprocess.Popen(["ffmpeg", "-v", "error", "-i", source, *raw, "-"], stdout=subprocess.PIPE)
    writer = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y", *raw, "-s", f"{width}x{height}", "-r", rate, "-i", "-",
         "-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-pix_fmt", "yuv420p", result], stdin=subprocess.PIPE)

    def write_edited():
        while (status := receive(context, frame)) == OK:
            writer.stdin.write(pixels)
        if status != AGAIN:
            check(status)

    while reader.stdout.readinto(pixels) == len(pixels):
        check(push(context, frame))
        write_edited()
    check(drain(context))
    write_edited()
    writer.stdin.close()
    destroy(context)
    return writer.wait()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], "edit=" + sys.argv[3], *sys.argv[4:]))
