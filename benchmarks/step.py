"""One DCGAN training step, ours and PyTorch's, measured alternately on this machine.

    python benchmarks/step.py [--batch 64] [--size 32] [--upsample upconv] [--rounds 9] [--steps 5]

Each system runs in a process of its own, with the same networks, batch, dtype and number of threads; the two take turns
of a few steps, so a change in the machine's speed meets both. What counts is the ratio, turn by turn.
PyTorch (`pip install torch`) is optional: without it only our times are printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def ours(options):
    """A function that runs one step of minigan."""
    import numpy as np

    import minigan as mg

    mg.seed(0)
    mg.set_threads(options.threads)
    trainer = mg.trainers.GAN(*mg.models.dcgan(size=options.size, upsample=options.upsample))
    real = mg.random.normal((options.batch, options.size, options.size, 1), seed=0).transpose(0, 3, 1, 2)
    real = np.tanh(real)
    return lambda: trainer.step(real), mg.device_info()


def pytorch(options, channels_last=False):
    """A function that runs one step of PyTorch."""
    import torch
    import torch_twin

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    networks = [network.to(memory_format=layout) for network in torch_twin.dcgan(options.size, options.upsample)]
    trainer = torch_twin.GAN(*networks)
    real = torch.randn(options.batch, 1, options.size, options.size).tanh().to(memory_format=layout)
    return lambda: trainer.step(real, torch.randn(options.batch, 100)), f"PyTorch {torch.__version__}, eager"


SYSTEMS = {"minigan": ours, "pytorch": pytorch, "pytorch channels_last": lambda o: pytorch(o, True)}


def worker(name, options):
    """Serve turns: for each line on standard input, run the steps and print their times in ms."""
    step, info = SYSTEMS[name](options)
    for _ in range(3):
        step()
    print(json.dumps(info), flush=True)
    for _ in sys.stdin:
        times = []
        for _ in range(options.steps):
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


def spawn(name):
    """A worker process and what it says of itself; None if it cannot start."""
    process = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--worker", name], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = process.stdout.readline()
    return (process, json.loads(line)) if line else None


def turn(process):
    """Median step time of one turn."""
    process.stdin.write("\n")
    process.stdin.flush()
    return statistics.median(json.loads(process.stdout.readline()))


def main():
    """Alternate, print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--upsample", default="upconv", choices=("upconv", "deconv"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options)
    workers = {name: spawn(name) for name in SYSTEMS}
    for name, started in workers.items():
        print(f"{name}: {started[1] if started else 'not available'}")
    running = {name: started[0] for name, started in workers.items() if started}
    times = {name: [] for name in running}
    for _ in range(options.rounds):
        for name, process in running.items():
            times[name].append(turn(process))
    print(f"\nDCGAN-{options.size}, {options.upsample}, batch {options.batch}, {options.threads} threads: ms per step, "
          f"and ours / theirs over {options.rounds} alternate turns of {options.steps} steps\n")
    print("| system | min | median | max | ours / this: min | median | max |\n|---|---|---|---|---|---|---|")
    for name, row in times.items():
        ratios = [a / b for a, b in zip(times["minigan"], row, strict=True)]
        cells = [*(f"{f(row):.1f}" for f in (min, statistics.median, max)),
                 *(f"{f(ratios):.2f}" for f in (min, statistics.median, max))]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
