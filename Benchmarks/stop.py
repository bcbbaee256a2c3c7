"""How long an application waits for the element to stop, wherever it is in an edit.

    /usr/bin/python3 Benchmarks/stop.py MODEL [WxH] [SECONDS ...]

For each of SECONDS a pipeline starts, is left alone for so long, and is stopped in one of three ways in turn: to NULL, to
READY, and by a flushing seek followed by NULL. A line tells what the element was doing, how long the call took, and what
the process holds afterwards. Fails where a call takes more than two seconds.
"""

import os
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

LIMIT = 2.0
FRAMES = 8


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def to_null(pipeline):
    pipeline.set_state(Gst.State.NULL)


def to_ready(pipeline):
    pipeline.set_state(Gst.State.READY)


def flush(pipeline):
    pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, 0)


def doing(bus):
    """The last progress that was told, or that the model is being read."""
    text = "opened"
    while message := bus.pop():
        if message.type == Gst.MessageType.PROGRESS:
            text = message.parse_progress()[2]
        elif message.type == Gst.MessageType.ERROR:
            sys.exit(message.parse_error()[0].message)
    return text


def main(model, size, moments):
    width, height = size.split("x")
    Gst.init(None)
    ways = [to_null, to_ready, flush]
    worst = 0
    for number, moment in enumerate(moments):
        pipeline = Gst.parse_launch(
            f"videotestsrc num-buffers={FRAMES} ! video/x-raw,format=RGB,width={width},height={height} ! "
            f'fatezero model={model} size={size} steps=1 clip-length={FRAMES} edit="a [cat -> tiger] on the grass" ! fakesink'
        )
        way = ways[number % len(ways)]
        begin = time.monotonic()
        pipeline.set_state(Gst.State.PLAYING)
        opened = time.monotonic() - begin
        time.sleep(moment)
        text = doing(pipeline.get_bus())
        begin = time.monotonic()
        way(pipeline)
        took = time.monotonic() - begin
        pipeline.set_state(Gst.State.NULL)
        worst = max(worst, took, opened)
        print(
            f"{moment:6.1f} s  {way.__name__:8} {took:6.3f} s  start {opened:5.3f} s  {resident():6.0f} MiB after  {text}", flush=True
        )
        del pipeline
    print(f"longest: {worst:.3f} s, of {LIMIT} s allowed")
    return worst > LIMIT


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    size = sys.argv[2] if len(sys.argv) > 2 else "512x512"
    sys.exit(main(sys.argv[1], size, [float(s) for s in sys.argv[3:]] or [0.2, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 240]))
