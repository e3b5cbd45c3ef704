"""The stack machine for PyTorch's pickles, instruction by instruction; see pickletools for what each would do."""

import io
import pickle
import struct
from collections import OrderedDict

import pytest
from test_torch_files import tensor_pickle

from minigan.checkpoint.pickled import PickleError, Storage, View, read_pickle

TEXT = {text: b"X" + struct.pack("<I", len(text)) + text.encode()
        for text in ("storage", "module", "0", "cpu", "a", "b")}
FLOATS, NAME = b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n"


def made(instructions):
    return read_pickle(io.BytesIO(b"\x80\x02" + instructions + b"."))


def reference(kind=TEXT["storage"], name=FLOATS, key=TEXT["0"], count=b"K\x06", more=b""):
    """The instructions of a reference to a storage; K is a number of one byte."""
    return b"(" + kind + name + key + TEXT["cpu"] + count + more + b"tQ"


def test_what_a_reference_stands_for():
    six = Storage("float32", "0", 6)
    assert made(reference()) == six
    assert made(reference(more=b"N")) == six  # None: a view of no other storage, as the older format says
    assert read_pickle(io.BytesIO(tensor_pickle())) == {"w": View(six, 0, (2, 3), (3, 1))}


@pytest.mark.parametrize(("instructions", "words"), [
    (reference(kind=TEXT["a"]), "a reference to what is no storage"),
    (reference(kind=TEXT["module"]), "a whole network"),
    (reference(name=b"cevil\nFloatStorage\n"), "a reference to what is no storage"),
    (reference(name=TEXT["a"]), "a reference to what is no storage"),
    (reference(more=TEXT["a"]), "a reference to what is no storage"),  # a part of another storage: (key, offset, size)
    (reference(name=b"ctorch\nQInt8Storage\n"), "numbers of the type torch.QInt8Storage"),
    (reference(count=b"J\xff\xff\xff\xff"), "a storage of an impossible size"),  # -1
    (reference(count=b"\x8a\x07\0\0\0\0\0\0\x01"), "a storage of an impossible size"),  # 2^48
    (reference(count=b"\x88"), "a storage of an impossible size"),  # True
    (reference(key=b"K\x01"), "a storage of an impossible size"),
    (b"(\x85", "a mark where a value should be"), (b"](a", "a mark where a value should be"),
    (b"cevil\n_rebuild_parameter\n(" + reference() + b"tR", "it holds evil._rebuild_parameter"),
    (b"cevil\n_rebuild_tensor_v2\n(" + reference() + b"K\x00)))tR", "it holds evil._rebuild_tensor_v2"),
    (TEXT["a"] + b")R", "a call of what is no function"), (NAME + b"]R", "a call of what is no function"),
    (b"X\x0b\0\0\0collectionsX\x0b\0\0\0OrderedDict\x86)R", "a call of what is no function"),  # a tuple like a name
    (NAME + b"](](" + b"K\x01\x85K\x02e" + b"e\x85R", "keys must be text or numbers"),
    (b"}(K\x01\x85K\x02u", "keys must be text or numbers"),
    (b"}(" + TEXT["a"] + b"u", "damaged"), (b"]K\x01b", "it holds objects"),
])
def test_what_is_refused(instructions, words):
    with pytest.raises(PickleError, match=words):
        made(instructions)


@pytest.mark.parametrize(("shape", "words"), [
    ((1,) * 33, "too many axes"), ((-1, 3), "impossible sizes"), ((2**48, 3), "impossible sizes")])
def test_tensors_of_impossible_shapes(shape, words):
    with pytest.raises(PickleError, match=words):
        read_pickle(io.BytesIO(tensor_pickle(shape=shape, strides=(1,) * len(shape))))
    with pytest.raises(PickleError, match="impossible sizes"):  # 2.0 instead of a whole number
        read_pickle(io.BytesIO(tensor_pickle().replace(b"\x8a\x09\x02" + bytes(8), b"G\x40" + bytes(7))))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_those_of_pickle(protocol):
    value = OrderedDict(a=[1, -2, 2**40, 0.5], b=(), c=(1,), d=(1, 2), e=(1, 2, 3), f=(1, 2, 3, 4))
    value["g"], value["again"] = {"h": None, 3: True}, value["a"]
    result = read_pickle(io.BytesIO(pickle.dumps(value, protocol)))
    assert result == value and result["again"] is result["a"]
    assert made(NAME + b"](](" + TEXT["a"] + b"K\x01e](" + TEXT["b"] + b"K\x02ee\x85R") == {"a": 1, "b": 2}  # Python 2
