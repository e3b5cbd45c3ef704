"""`python -m minigan.metrics ...` is `python -m minigan metrics ...`."""

import sys

from minigan.__main__ import program

if __name__ == "__main__":
    program(["metrics", *sys.argv[1:]])
