"""Write the exercises: every file of solutions/ with the solutions removed.

    python docs/exercises/hand_out.py                                  after a change in a file of solutions/
    python docs/exercises/hand_out.py --notebooks source/minigan       notebooks with solutions, for nbgrader's source/
"""

import argparse
import json
from pathlib import Path

from minigan.teach.exercise import notebook, without_solutions

HERE = Path(__file__).parent


def main() -> None:
    """Write one file for each file of solutions/: next to this script, or as a notebook in the folder FOLDER."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notebooks", type=Path, metavar="FOLDER", help="write notebooks with solutions here")
    folder = parser.parse_args().notebooks
    for path in sorted((HERE / "solutions").glob("*.py")):
        text, out = path.read_text(), HERE / path.name
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            out = folder / f"{path.stem}.ipynb"
        out.write_text(without_solutions(text) if folder is None else json.dumps(notebook(text), indent=1) + "\n")
        print(out)


if __name__ == "__main__":
    main()
