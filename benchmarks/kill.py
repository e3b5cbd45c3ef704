"""End a training run 50 times at random moments, continue it each time, and compare it with an uninterrupted run.

    python benchmarks/kill.py                     kill -9; 20 steps between checkpoints
    python benchmarks/kill.py --signal HUP        a closed terminal: no step is lost
    python benchmarks/kill.py --kills 5 --data /path/with/mnist

Prints one row per kill: its time, the last step in the metrics, the newest checkpoint, and how many steps are repeated.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minigan import report
from minigan.checkpoint import Series, load_state

SCRIPT = Path(__file__).parent.parent / "examples" / "dcgan_mnist.py"
EVERY = 20


def command(out: Path, options: argparse.Namespace, steps: int, *more: str) -> list[str]:
    data = ["--data", str(options.data)] if options.data else []
    return [sys.executable, str(SCRIPT), "--out", str(out), "--width", "4", "--batch-size", "16", "--device", "cpu",
            "--checkpoint-every", str(EVERY), "--steps", str(steps), *data, *more]


def run(arguments: list[str]) -> float:
    start = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the run failed: {done.stderr}")
    return time.monotonic() - start


def ended(arguments: list[str], moment: float, number: signal.Signals) -> None:
    """Start a run that would go on for ever, and send it a signal after `moment` seconds."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(moment)
    process.send_signal(number)
    error = process.communicate()[1]
    if process.returncode not in (-number, 128 + number):  # the first before Python has installed the handlers
        raise SystemExit(f"the run ended by itself: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--signal", choices=("KILL", "HUP", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    parser.add_argument("--data", type=Path, help="folder with MNIST")
    options = parser.parse_args()
    moments, number = random.Random(options.seed), signal.Signals[f"SIG{options.signal}"]
    with tempfile.TemporaryDirectory() as folder:
        whole, out = Path(folder) / "whole", Path(folder) / "run"
        begins = run(command(whole, options, 1))
        print(f"a run takes {begins:.1f} s to start\n\nkill  after s  metrics  checkpoint    repeated")
        lost, kept = [0], -1
        for kill in range(1, options.kills + 1):
            moment = moments.uniform(begins / 2, 2 * begins)
            ended(command(out, options, 10**6, "--resume" if kept >= 0 else "--overwrite"), moment, number)
            newest = max(Series(out / "checkpoints").steps(), default=-1)
            rows = report.read_rows(out / "metrics.jsonl") if (out / "metrics.jsonl").exists() else []
            reached = rows[-1]["step"] if rows else 0
            if newest >= 0:
                load_state(Series(out / "checkpoints").path(newest))  # raises if it is damaged
            if newest < kept:
                raise SystemExit(f"kill {kill}: a checkpoint was lost: {newest} after {kept}")
            lost.append(max(0, reached - newest))
            if lost[-1] and options.signal != "KILL":
                raise SystemExit(f"kill {kill}: {lost[-1]} steps were lost after a signal that can be handled")
            kept = newest
            print(f"{kill:4}  {moment:7.2f}  {reached:7}  {newest:10}  {lost[-1]:10}", flush=True)
        run(command(out, options, kept + 50, "--resume"))
        run(command(whole, options, kept + 50, "--overwrite"))
        same = [name for name in ("metrics.jsonl", "generator.safetensors", "averaged.safetensors",
                                  "discriminator.safetensors")
                if (whole / name).read_bytes() == (out / name).read_bytes()]
    print(f"\n{options.kills} times SIG{options.signal}, no run lost, at most {max(lost)} steps repeated (a checkpoint "
          f"every {EVERY} steps); after {kept + 50} steps equal to an uninterrupted run, byte for byte: "
          f"{', '.join(same)} ({len(same)} of 4)")


if __name__ == "__main__":
    main()
