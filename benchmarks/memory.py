"""Peak resident memory of a training step, ours and its peers'.

    python benchmarks/memory.py [--work all] [--peers eager,channels_last,jax] [--batch 256] [--json memory.json]

Every system runs three steps in a fresh process; the peak is the operating system's count for the whole process,
libraries included (`VmHWM`). Works, peers and options are those of step.py.
"""

import sys

import step
import turns


def main():
    """Print one table for all works."""
    options = step.parse()
    results = []
    print("| work | system | peak, MiB | ours / this |\n|---|---|---|---|")
    for work in step.DEFAULTS if options.work == "all" else [options.work]:
        own = step.sized(work, options)
        own.rounds = 0
        results.append(step.run(work, own))
        systems = results[-1]["systems"]
        for name, system in systems.items():
            ratio = systems[turns.OURS]["peak_mb"] / system["peak_mb"]
            print(f"| {work}, batch {own.batch} | {name} | {system['peak_mb']:.0f} | {ratio:.2f} |", flush=True)
    if options.json:
        turns.save(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
