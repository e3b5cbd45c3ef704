"""How the DCGAN step scales with workers, batch and image size: ours and PyTorch's, measured in turns.

    python benchmarks/scaling.py [--rounds 3] [--peers eager,channels_last] [--json scaling.json]

One setting at a time differs from 32x32 images, batch 64, all cores: 1 and 2 workers; batch 16 to 512; sides 28 to 256
(the networks grow with the side; from 128 on with 16 images and a quarter of the width, so that they fit in memory).
"""

import os
import sys

import step
import turns

VARIANTS = {
    "workers": [("--threads", str(n)) for n in sorted({1, 2, os.cpu_count() or 1})],
    "batch": [("--batch", str(n)) for n in (16, 32, 64, 128, 256, 512)],
    "side": [("--size", "28"), ("--size", "32"), ("--size", "64"),
             *(("--size", size, "--batch", "16", "--width", "16") for size in ("128", "256"))],
}


def main():
    """Print one table; each row is measured in fresh processes."""
    given = sys.argv[1:]
    options, results = step.parse(), []
    print("| varied | value | ours, ms | fastest peer | ms | ours / peer: min | median | max |\n"
          "|---|---|---|---|---|---|---|---|")
    for name, settings in VARIANTS.items():
        for setting in settings:
            sys.argv[1:] = [*given, *setting]  # the workers read their options from there
            result = step.run("dcgan", step.sized("dcgan", step.parse()))
            result["setting"] = setting
            results.append(result)
            print(f"| {name} | {' '.join(setting)} | {turns.versus(result)} |", flush=True)
    if options.json:
        turns.save(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
