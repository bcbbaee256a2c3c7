#!/usr/bin/env python3
"""kill-test.py FATEZERO KILLS [SEED]: edits that are killed (SIGKILL) at random moments, up to three times, and then resumed.

At every moment the output's name bears the file that was there before or the finished one; what others have put beside our
files, however it is called, stays as it is; a resumed run gives the same bytes as one that was never killed, and leaves
nothing of what the killed ones left.
"""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KILLS_OF_A_RUN = 3
# What others have, beside what is ours and called alike.
FOREIGN = [
    "notes.txt", ".out.y4m.fatezero-1-mine", "cache/notes.txt", "cache/" + "0" * 31 + "/notes.txt", "cache/mine.partial/notes.txt",
    "cache/windows/notes.txt", "record/fatezero-record-mine/notes.txt", "record/holiday.mp4", "report/source-holiday.png",
    "report/notes.txt",
]
OUTPUTS = ["out.y4m", "mask.y4m"]
BEFORE = b"what was here before"


class Folder:
    """Where an edit works, with files of others in it."""

    def __init__(self, place):
        self.path = pathlib.Path(place)
        for name in FOREIGN:
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode())
        for name in OUTPUTS:
            (self.path / name).write_bytes(BEFORE)

    def command(self, fatezero):
        return [
            fatezero, "edit", str(ROOT / "Examples/cat.mp4"), str(self.path / "out.y4m"), "--edit",
            "a [cat -> tiger] on the grass", "--model", str(ROOT / "Models/toyworld"), "--size", "64x64", "--steps", "2",
            "--frames", "6", "--clip-length", "2", f"--cache={self.path / 'cache'}", "--resume", "--record-dir",
            str(self.path / "record"), "--report", str(self.path / "report"), "--mask-output", str(self.path / "mask.y4m"), "-y",
        ]

    def digest(self, name):
        return hashlib.sha256((self.path / name).read_bytes()).hexdigest()

    def problems(self, finished):
        """What must not be, whenever it is looked at."""
        found = []
        for name in FOREIGN:
            file = self.path / name
            if not file.exists() or file.read_bytes() != name.encode():
                found.append(f"{name} is not ours and is lost")
        for name in OUTPUTS:
            file = self.path / name
            if not file.exists():
                found.append(f"{name} is lost")
            elif file.read_bytes() != BEFORE and self.digest(name) != finished[name]:
                found.append(f"{name} is half written")
        return found

    def left(self):
        """What a run leaves that has ended well, but for results, pages and the cache's entries."""
        names = [str(file.relative_to(self.path)) for file in self.path.rglob("*")]
        ours = [name for name in names if not any(name == mine or mine.startswith(name + "/") for mine in FOREIGN)]
        ours = [name for name in ours if not name.endswith("/.fatezero-files")]
        return [name for name in ours if ".fatezero-" in name or ".partial" in name or name.startswith("record/")
                or name.startswith("cache/windows/") and name.endswith(".safetensors")]


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"kill-test: the edit ended with {result.returncode}: {result.stderr[-2000:]}")
    return result.stderr


def main():
    fatezero, kills = sys.argv[1], int(sys.argv[2])
    random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    place = pathlib.Path(tempfile.mkdtemp(prefix="fatezero-kill-test-"))
    problems = []
    try:
        reference = Folder(place / "reference")
        started = time.monotonic()
        run(reference.command(fatezero))
        duration = time.monotonic() - started
        finished = {name: reference.digest(name) for name in OUTPUTS}
        problems += reference.problems(finished) + [f"{name} is left" for name in reference.left()]
        done = runs = resumed = 0
        while done < kills and not problems:
            runs += 1
            folder = Folder(place / "killed")
            for _ in range(random.randint(1, KILLS_OF_A_RUN)):
                process = subprocess.Popen(
                    folder.command(fatezero), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
                time.sleep(random.uniform(0, duration))
                process.send_signal(signal.SIGKILL)
                done += process.wait() == -signal.SIGKILL
                problems += folder.problems(finished)
            said = run(folder.command(fatezero))
            resumed += "finished" in said or "comes from the cache" in said
            problems += folder.problems(finished) + [f"{name} is left" for name in folder.left()]
            problems += [f"{name} has other bytes" for name in OUTPUTS if folder.digest(name) != finished[name]]
            shutil.rmtree(folder.path)
            if runs % 50 == 0:
                print(f"{done} kills, {runs} runs, {resumed} of them with something to resume", flush=True)
    finally:
        shutil.rmtree(place)
    print(f"{done} kills, {runs} runs, {resumed} of them with something to resume: " + ("; ".join(problems) or "nothing lost"))
    return bool(problems)


sys.exit(main())
