"""Kill a training run 50 times at random moments, continue it each time, and compare it with one that was left alone.

    python benchmarks/kill.py                     20 steps between checkpoints
    python benchmarks/kill.py --kills 5 --data /path/with/mnist

Prints a row per kill: when, the step the metrics had reached, the newest checkpoint, how many steps are done again.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minigan import report
from minigan.checkpoint import Series, load_state

SCRIPT = Path(__file__).parent.parent / "examples" / "dcgan_mnist.py"
EVERY = 20


def command(out: Path, options: argparse.Namespace, *more: str, steps: int | None = None) -> list[str]:
    data = ["--data", str(options.data)] if options.data else []
    return [sys.executable, str(SCRIPT), "--out", str(out), "--width", "4", "--batch-size", "16", "--device", "cpu",
            "--checkpoint-every", str(EVERY), "--steps", str(steps or options.steps), *data, *more]


def run(arguments: list[str]) -> float:
    start = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the run failed: {done.stderr}")
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--data", type=Path, help="folder with MNIST")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, out = Path(folder) / "whole", Path(folder) / "run"
        begins = run(command(Path(folder) / "one", options, steps=1))
        seconds = run(command(whole, options))
        print(f"left alone: {options.steps} steps in {seconds:.1f} s, of which {begins:.1f} s to begin\n\n"
              "kill  after s  metrics  checkpoint  done again")
        lost, kept = [], 0
        for kill in range(1, options.kills + 1):
            process = subprocess.Popen(command(out, options, *(["--resume"] if kept or (out / "checkpoints").is_dir()
                                                               else ["--overwrite"] if out.is_dir() else [])),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            moment = moments.uniform(begins / 2, begins + 1.5 * (seconds - begins) / options.kills)
            time.sleep(moment)
            process.kill()
            error = process.communicate()[1]
            if process.returncode not in (-9, 0):
                raise SystemExit(f"kill {kill}: the run ended by itself: {error}")
            newest = max(Series(out / "checkpoints").steps(), default=-1)
            rows = report.read_rows(out / "metrics.jsonl") if (out / "metrics.jsonl").exists() else []
            reached = rows[-1]["step"] if rows else 0
            if newest >= 0:
                load_state(Series(out / "checkpoints").path(newest))  # whole, or this raises
            if newest < kept:
                raise SystemExit(f"kill {kill}: a checkpoint was lost: {newest} after {kept}")
            lost.append(reached - max(newest, 0))
            kept = newest
            print(f"{kill:4}  {moment:7.2f}  {reached:7}  {newest:10}  {lost[-1]:10}", flush=True)
        run(command(out, options, "--resume"))
        same = [name for name in ("metrics.jsonl", "generator.safetensors", "averaged.safetensors",
                                  "discriminator.safetensors")
                if (whole / name).read_bytes() == (out / name).read_bytes()]
    print(f"\n{options.kills} kills, no run lost, at most {max(lost)} steps done again (a checkpoint every {EVERY}); "
          f"equal in bytes to the run left alone: {', '.join(same)} ({len(same)} of 4)")


if __name__ == "__main__":
    main()
