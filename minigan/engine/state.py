"""What the current thread is doing, and how to watch it: the engine's only state that outlives a call."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from minigan.engine.tensor import Maker, Node, Tensor


class Watcher:
    """Hears of everything the engine does in this thread, while it is `watching`: so do detect_anomaly and explain."""

    def result(self, primitive: Maker, y: Tensor, arguments: Sequence[Tensor | None]) -> None:
        """An operation has made y of its arguments."""

    def cotangent(self, node: Node, position: int, g: Tensor) -> None:
        """A backward pass is at a node: the cotangent of its result (position -1), then that of each argument."""


class State(threading.local):
    """Whether operations are recorded, who watches, inside which layers and which rule the thread is."""

    def __init__(self) -> None:
        self.recording = True
        self.watchers: tuple[Watcher, ...] = ()
        self.modules: list[Any] = []  # the layers that are being called, the outermost first
        self.node: Node | None = None  # the one whose rules the backward pass applies
        self.batches = 1  # how many batches, one after the other, layers are given as one; see nn.in_one_pass


state = State()


@contextlib.contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Let one more watcher hear of what this thread does, for a while."""
    before, state.watchers = state.watchers, (*state.watchers, watcher)
    try:
        yield
    finally:
        state.watchers = before


@contextlib.contextmanager
def several_batches(count: int) -> Iterator[None]:
    """What layers are given in this thread is `count` batches of one size, one after the other, for a while."""
    before, state.batches = state.batches, count
    try:
        yield
    finally:
        state.batches = before


@contextlib.contextmanager
def recording(on: bool) -> Iterator[None]:
    """Record operations in this thread, or not, for a while."""
    before, state.recording = state.recording, on
    try:
        yield
    finally:
        state.recording = before
