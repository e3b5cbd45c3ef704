"""`python -m minigan.gradcheck`, the same as `python -m minigan gradcheck`."""

import sys

from minigan.commands.gradcheck import main

if __name__ == "__main__":
    sys.exit(main())
