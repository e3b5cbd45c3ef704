"""The pickles in PyTorch's files, read as data by a small stack machine: no name in them is imported or called.

A pickle is a program for a stack machine, whose instructions also import and call any function. Here those two exist
only for the few names that a dict of tensors needs, and what they make is one of our own tuples. Each instruction is a
byte or more and makes at most one small object, so neither time nor memory exceeds what the file's size allows; nothing
is recursive. Source: pickletools, which documents every instruction, in Python's standard library.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

STORAGES = {  # the names of PyTorch's storages: the type of their numbers
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool"}
MOST_AXES = 32
TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2")
_PUSHED = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
           "BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class PickleError(ValueError):
    """A pickle that holds more than tensors, or is damaged."""


class Storage(NamedTuple):
    """Numbers in a file: their type, the name of their place, and how many there are."""

    dtype: str
    key: str
    length: int


class View(NamedTuple):
    """A tensor: the part of a storage that it shows. Offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(NamedTuple):
    module: str
    name: str


class _Mark:
    pass


def read_pickle(file: BinaryIO) -> Any:
    """The next pickle of a file: dicts, lists, tuples, numbers and text, with a View for every tensor.

    Raises:
        PickleError: it holds anything else, or is damaged.
    """
    machine = _Machine()
    instructions: Iterator[Any] = pickletools.genops(file)
    while True:
        try:
            opcode, argument, _ = next(instructions)
            if opcode.name == "STOP":
                return machine.pop()
            machine.run(opcode.name, argument)
        except PickleError:
            raise
        except StopIteration:
            raise PickleError("its description has no end") from None
        except Exception as error:  # a pickle that pickletools or the machine cannot read, whatever its damage
            raise PickleError(f"its description is damaged ({type(error).__name__}: {str(error)[:80]})") from None


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _Mark:
            raise PickleError("its description is damaged (a mark where a value should be)")
        return value

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self.stack.pop()) is not _Mark:
            items.append(value)
        return items[::-1]

    def run(self, name: str, argument: Any) -> None:
        """One instruction."""
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.stack.append(_Mark)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            self.stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "TUPLE":
            self.stack.append(tuple(self.pop_to_mark()))
        elif name in _TUPLES:
            self.stack.append(tuple([self.pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
            self._fill(self.pop_to_mark() if name.endswith("S") else self._popped(2 if name == "SETITEM" else 1))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            pair = self._popped(2) if name == "STACK_GLOBAL" else argument.split(" ", 1)
            if not all(isinstance(part, str) for part in pair):
                raise PickleError("its description is damaged (a name that is no text)")
            self.stack.append(_Name(*pair))
        elif name in ("REDUCE", "BUILD", "BINPERSID"):
            self._make(name)
        else:
            raise PickleError(f"it holds more than tensors (the instruction {name})")

    def _popped(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
            return
        keys = items[::2]
        if type(target) is not dict or len(items) % 2 or not all(isinstance(key, str | int) for key in keys):
            raise PickleError("its description is damaged (keys must be text or numbers)")
        target.update(zip(keys, items[1::2], strict=True))

    def _make(self, name: str) -> None:
        """What imports, calls and references stand for."""
        argument = self.pop()
        if name == "BINPERSID":
            self.stack.append(_storage(argument))
        elif name == "BUILD":  # the attributes of an OrderedDict: its _metadata, versions of layers
            if type(self.stack[-1]) is not dict:
                raise PickleError("it holds objects, not only tensors")
        else:
            self.stack.append(_called(self.pop(), argument))


def _called(function: Any, arguments: Any) -> Any:
    """What a call makes, for the few functions that there are."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise PickleError("its description is damaged (a call of what is no function)")
    module, name = function
    if function == ("collections", "OrderedDict"):
        pairs = arguments[0] if arguments else []
        if not all(isinstance(key, str | int) for key, _ in pairs):  # the hash of a deep tuple is recursive
            raise PickleError("its description is damaged (keys must be text or numbers)")
        items = dict(pairs)
        pairs.clear()  # so that a pickle cannot have one list copied many times
        return items
    if function == ("torch", "Size"):
        return tuple(arguments[0][:MOST_AXES])
    if module == "torch._utils" and name == "_rebuild_parameter":
        return arguments[0]
    if module == "torch._utils" and name in TENSORS:
        return _view(*arguments[:4])
    raise PickleError(f"it holds {module[:40]}.{name[:40]}, not only tensors")


def _view(storage: Any, offset: Any, shape: Any, strides: Any) -> View:
    if not isinstance(storage, Storage) or not len(shape) == len(strides) <= MOST_AXES:
        raise PickleError("its description is damaged (a tensor without a storage, or with too many axes)")
    if not all(type(n) is int and 0 <= n < 2**48 for n in (offset, *shape, *strides)):
        raise PickleError("its description is damaged (a tensor of impossible sizes)")
    return View(storage, offset, tuple(shape), tuple(strides))


def _storage(reference: Any) -> Storage:
    """The storage that a reference ("storage", type, key, device, count, ...) names; the device does not matter."""
    if isinstance(reference, tuple) and reference[:1] == ("module",):  # in the older format, a class with its source
        raise PickleError("it holds a whole network, not only tensors")
    kind, name, key, _, count, *rest = reference
    if kind != "storage" or not isinstance(name, _Name) or name.module != "torch" or any(v is not None for v in rest):
        raise PickleError("its description is damaged (a reference to what is no storage)")
    if name.name not in STORAGES:
        raise PickleError(f"it holds numbers of the type torch.{name.name[:40]}; convert them to float32")
    if type(count) is not int or not 0 <= count < 2**48 or not isinstance(key, str):
        raise PickleError("its description is damaged (a storage of an impossible size)")
    return Storage(STORAGES[name.name], key, count)
