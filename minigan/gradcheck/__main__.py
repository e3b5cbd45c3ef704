"""`python -m minigan.gradcheck ...` is `python -m minigan gradcheck ...`."""

import sys

from minigan.__main__ import program

if __name__ == "__main__":
    program(["gradcheck", *sys.argv[1:]])
