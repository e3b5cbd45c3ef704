"""All measurements on one GPU, written to run once, unattended, on a machine that is not known beforehand.

    python benchmarks/gpu.py --out DIR --budget 300          # gpu.md, gpu.jsonl
    GPU_REHEARSAL=1 python benchmarks/gpu.py --out DIR       # every line once, tiny, on the emulated device

Sections  ceilings       a large copy, large matrix products: what the floors are computed from
          ours           our captured training steps alone, so that they are written before any peer is built
          steps          training steps: ours captured and plain, PyTorch's under CUDA graphs, NCHW and channels_last;
                         a row of equal arithmetic; the floor
          convolutions   single products against cuDNN's, with errors against float64 and the floor
          kernels        kernels that only move memory, against a copy
          launches       what a kernel launch, a graph launch and a graph's node cost
          split          a step's time by kernel, from PyTorch's profiler
          bf16, compiled PyTorch's step under autocast, and by torch.compile, which may search for minutes
          eager          PyTorch's step without a graph

Each row is written as soon as it is measured. A row that fails costs only that row: if the GPU does not answer after
it, the program restarts and continues with the next. Rows already in DIR/gpu.jsonl are not measured again. Single
products, ours and cuDNN's, run many times in a CUDA graph, so that no launch is timed. Running
`gpu_record.py --compile N` first compiles our kernels in parallel. Without PyTorch its columns stay empty.
"""

import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import gpu_cases
import gpu_sections
from gpu_clock import clock, line_about, torch

import minigan as mg

ROW_LIMIT = 45  # seconds a row may take


class Results:
    """Rows, appended to gpu.jsonl as they come and shown as tables in gpu.md."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.lines, self.tables = folder / "gpu.jsonl", folder / "gpu.md"
        self.rows = []
        for line in self.lines.read_text().splitlines() if self.lines.exists() else ():
            with contextlib.suppress(ValueError):  # a line cut off when the program was killed
                self.rows.append(json.loads(line))

    def find(self, section, name):
        """The row, or None."""
        return next((row for row in self.rows if (row["section"], row["name"]) == (section, name)), None)

    def add(self, section, name, cells, **data):
        """A row: cells {column: text}, and whatever else is to be kept of it."""
        self.rows.append({"section": section, "name": name, "cells": cells, **data})
        with self.lines.open("a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"{section} | {name} | {' | '.join(f'{key} {cell}' for key, cell in cells.items() if cell)}", flush=True)
        self.tables.write_text(self.text())

    def text(self):
        """All sections as Markdown."""
        lines = ["# On one GPU", ""]
        for section in dict.fromkeys(row["section"] for row in self.rows):
            rows = [row for row in self.rows if row["section"] == section]
            columns = list(dict.fromkeys(column for row in rows for column in row["cells"]))
            columns.sort(key=lambda column: column == "failed")  # last
            lines += ["", f"## {section}", "", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
            lines += [f"| {row['name']} | {' | '.join(row['cells'].get(column, '') for column in columns)} |"
                      for row in rows]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def at_most(seconds):
    """Raise TimeoutError in the body once it has taken longer."""
    def too_long(*_):
        raise TimeoutError(f"took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, max(1, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(section, gpu, results, deadline):
    """Measure the rows of a section until the deadline."""
    longest = 0
    for name, measure in gpu_sections.SECTIONS[section](gpu, results):
        left = deadline - time.time()
        if results.find(section, name) is not None:
            continue
        if left < max(3, min(longest, 12)):  # a row cut short costs no more than what is left
            print(f"{section}: {name} and what follows: no time left", flush=True)
            return
        start = time.time()
        try:
            with at_most(min(left, ROW_LIMIT)), gpu.shared_stream():
                rows = measure()
        except Exception as error:
            traceback.print_exc()
            rows = [(name, {"failed": line_about(error)}, {})]
        longest = max(longest, seconds := time.time() - start)
        for number, (row, cells, data) in enumerate(rows):
            results.add(section, row, cells, **data, **({} if number else {"seconds": round(seconds, 2)}))
        go_on(gpu, deadline)


def go_on(gpu, deadline):
    """Free a row's memory; restart the program if the GPU no longer answers this process."""
    try:
        gpu.synchronize()
        gpu.free()
    except Exception as error:
        print(f"{line_about(error)}: the program restarts", flush=True)
        os.environ["GPU_DEADLINE"] = str(deadline)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.md and gpu.jsonl")
    parser.add_argument("--sections", default="ceilings,ours,steps,convolutions",
                        help="some of the above, in this order")
    parser.add_argument("--budget", type=float, default=600, help="seconds after which no row is begun (%(default)s)")
    parser.add_argument("--counts", type=Path, help="what gpu_record.py --counts wrote: for the floors of steps")
    options = parser.parse_args()
    names = options.sections.split(",")
    if unknown := set(names) - set(gpu_sections.SECTIONS):
        parser.error(f"--sections: {', '.join(sorted(unknown))} unknown")
    deadline = float(os.environ.get("GPU_DEADLINE") or time.time() + options.budget)
    gpu = clock()
    if options.counts and options.counts.exists():
        gpu_sections.COUNTS.update(json.loads(options.counts.read_text()))
    results = Results(options.out)
    if results.find("machine", "") is None:
        results.add("machine", "", {
            "device": mg.device_info(), "PyTorch": torch.__version__ if torch else "absent",
            "date": datetime.date.today().isoformat(), "rehearsal": "no number means anything" * gpu_cases.REHEARSAL})
    for section in names:
        run(section, gpu, results, deadline)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("gpu.py: stopped; the rows so far are written")
