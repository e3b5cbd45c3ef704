"""A run on the ranks other than the first: all its steps, checks and decisions, but none of its files."""

from __future__ import annotations

from typing import Any

from minigan.errors import OptionError
from minigan.run.durable import Keeper
from minigan.run.gallery import Gallery, Sheet
from minigan.run.session import Session


class _Keeper(Keeper):
    """Restores what rank 0 reads; the files are rank 0's."""

    def put_back(self, lengths: dict[str, int], samples: set[str]) -> None:
        """Nothing."""


class _Silent:
    """In place of the log and the list of files."""

    done = 0

    def __call__(self, progress: Any) -> None: ...
    def add(self, *names: str) -> None: ...
    def say(self, line: str) -> None: ...
    def rewind(self, step: int) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class _Unseen(Gallery):
    """Of a rank that shows nothing."""

    def open_board(self, step: int) -> None:
        """Nothing."""


class Follower(Session):
    """A Session that writes nothing; what rank 0 measures, draws and saves meanwhile, it waits for in the next step.

    When the run has ended, so has the program on this rank: what an example does afterwards, such as scoring, is rank
    0's alone.
    """

    def open_files(self, sheet: Sheet) -> None:
        """Nothing to open."""
        self.keeper = _Keeper(self.folder, self.trainer, self.batches, self.score, self.config, self.options.keep)
        self.files = self.log = _Silent()  # type: ignore[assignment]
        self.gallery = _Unseen(self.folder, self.files, self.log, sheet)

    def resume(self, changed: dict[str, Any]) -> None:
        """Continue from the checkpoint that rank 0 has read. Raises as Session's."""
        step, _ = self.keeper.restore()
        if step > self.steps:
            raise OptionError(f"--resume {self.folder}: {step:,} steps are done already, so --steps cannot be "
                              f"{self.steps:,}")

    def finish(self) -> None:
        """Wait until rank 0 has finished everything, then end the program."""
        self.ranks.wait_for_end()
        raise SystemExit(0)

    def save(self) -> None:
        """Rank 0 saves; its clock decides when."""

    def begin(self) -> None: ...  # noqa: D102
    def note(self, **event: Any) -> None: ...  # noqa: D102
    def measure(self, step: int) -> None: ...  # noqa: D102
    def show(self, name: str, step: int) -> None: ...  # noqa: D102
    def rescue(self, error: BaseException) -> None: ...  # noqa: D102
    def record(self) -> None: ...  # noqa: D102
