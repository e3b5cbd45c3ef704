"""`python -m minigan.metrics RUN`, the same as `python -m minigan metrics RUN`."""

from minigan import run
from minigan.commands.metrics import main

if __name__ == "__main__":
    run.main(main)
