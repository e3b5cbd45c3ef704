"""Put a run's generator into a page on which it runs by itself: draw, translate, look inside, without installing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.checkpoint import write_atomically
from minigan.data.paths import printable, user_path
from minigan.errors import OptionError
from minigan.run.play import play_page, write_play
from minigan.run.saved import WEIGHTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, and print where it is and its size."""
    parser = argparse.ArgumentParser(prog="python -m minigan play", description=__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of the run, such as runs/dcgan_mnist")
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="the weights the run ended with, or "
                        "those that scored best under --score-every (default: %(default)s)")
    parser.add_argument("--out", type=user_path, help="the page, a file *.html, with this part alone (default: "
                        "RUN/report.html, which has it from then on)")
    options = parser.parse_args(arguments)
    if options.out is None:
        path = write_play(options.run, options.weights)
    else:
        path = options.out
        if path.suffix.lower() not in (".html", ".htm"):
            raise OptionError(f"--out {path}: the page is HTML, so name it *.html")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, play_page(options.run, options.weights).encode("utf-8", "backslashreplace"))
    print(printable(f"{path}: {path.stat().st_size:,} bytes; open it in a browser"))
