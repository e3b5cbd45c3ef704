"""Variants of the problem set, one per student, with their solutions: other kernel sizes, strides, paddings, numbers.

    python docs/teaching/variants.py --seed 7                    the problems, on the screen
    python docs/teaching/variants.py --seed 7 --solutions        their solutions
    python docs/teaching/variants.py --first 1 --count 30 --out handouts      variant-1.md, solution-1.md, ...
"""

import argparse
from pathlib import Path

from minigan.teach.theory.variants import variant


def main() -> None:
    """Print one variant, or write several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the variant to print; 0 has the original's sizes")
    parser.add_argument("--solutions", action="store_true", help="print the solutions instead of the problems")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write files into this folder instead")
    parser.add_argument("--first", type=int, default=1, help="with --out: the first seed (default: %(default)s)")
    parser.add_argument("--count", type=int, default=1, help="with --out: how many variants (default: %(default)s)")
    options = parser.parse_args()
    if options.out is None:
        own = variant(options.seed)
        print(own.solutions() if options.solutions else own.sheet(), end="")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first, options.first + options.count):
        (options.out / f"variant-{seed}.md").write_text(variant(seed).sheet())
        (options.out / f"solution-{seed}.md").write_text(variant(seed).solutions())
    print(f"{options.count} variants and their solutions are in {options.out}")


if __name__ == "__main__":
    main()
