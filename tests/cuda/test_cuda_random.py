"""Random numbers on a device have the bits of the CPU's, for the same addresses."""

import numpy as np
import pytest

from minigan import random as cpu
from minigan.kernels import Counter
from minigan.kernels.cuda import random
from minigan.kernels.cuda.counters import advance

KNOWN = [  # the Random123 distribution's kat_vectors for philox4x32 with 10 rounds: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
SHAPES = [(), 1, 3, 4, (5, 7), (0, 3), (64, 100), (2, 3, 5, 43)]
ADDRESSES = [(0, 0, 0), (1, 7, 2), (0x0123456789ABCDEF, 0xFFFFFFFF, 0xFEDCBA9876543210), (2**64 - 1, 5, 2**32 - 1)]
REALS = [np.float32, np.float64]


def like(device):
    return device.put(np.zeros(1, np.float32))


def named(address):
    return dict(zip(("seed", "stream", "step"), address, strict=True))


def test_known_answers(device):
    counters, keys, answers = (
        np.array([[int(word, 16) for word in row[i].split()] for row in KNOWN], np.uint32) for i in range(3))
    for _ in device.orders():
        words = random.philox4x32(device.put(counters), device.put(keys))
        np.testing.assert_array_equal(device.get(words), answers)
    rng = np.random.default_rng(0)
    counters, keys = (rng.integers(0, 2**32, (300, n), np.uint32) for n in (4, 2))
    words = random.philox4x32(device.put(counters), device.put(keys))
    np.testing.assert_array_equal(device.get(words), cpu.philox4x32(counters, keys))


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_uniform_is_the_cpus_bit_for_bit(device, dtype, address):
    for shape in SHAPES:
        expected = cpu.uniform(shape, dtype=dtype, **named(address))
        for _ in device.orders():
            got = device.get(random.uniform(like(device), shape, dtype, *address))
            assert got.dtype == dtype
            assert got.shape == expected.shape
            assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", REALS)
def test_a_part_of_an_array_has_the_bits_of_the_whole(device, dtype):
    """A rank's rows of a joint batch: from any number on, within a block of words or not."""
    for name in ("uniform", "normal"):
        kernel = getattr(random, name)
        whole = device.get(kernel(like(device), 4000, dtype, 1, 7, 2))
        for first, shape in ((0, 5), (1, (2, 3)), (6, 7), (1500, (3, 500)), (3999, 1)):
            for _ in device.orders():
                part = device.get(kernel(like(device), shape, dtype, 1, 7, 2, first))
                assert part.tobytes() == whole[first : first + part.size].tobytes()


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_normal_is_the_cpus_to_its_last_place(device, dtype, address):
    """Both sides compute in float64; after rounding to float32, at most a few of a hundred thousand may differ."""
    for shape in (*SHAPES, (90_001,)):
        expected = cpu.normal(shape, dtype=dtype, **named(address))
        for _ in device.orders():
            got = device.get(random.normal(like(device), shape, dtype, *address))
            assert got.dtype == dtype
            assert got.shape == expected.shape
            if dtype == np.float64:
                np.testing.assert_allclose(got, expected, rtol=0, atol=2e-14)
            else:
                different = got != expected
                assert different.sum() <= 3
                np.testing.assert_allclose(got[different], expected[different], rtol=1.2e-7)


@pytest.mark.parametrize("low, high", [(0, 1), (0, 10), (-4, 1000), (-(2**63), 2**63), (2**62, 2**63), (-(2**63), 5)])
def test_integers_are_the_cpus(device, low, high):
    for shape in SHAPES:
        for address in ADDRESSES:
            expected = cpu.integers(low, high, shape, **named(address))
            got = device.get(random.integers(like(device), low, high, shape, *address))
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, expected)


def test_integers_of_an_empty_range_are_refused(device):
    for low, high in ((3, 3), (0, 2**63 + 1)):
        with pytest.raises(ValueError, match="need -2\\^63 <= low < high"):
            random.integers(like(device), low, high, 3, 0, 0, 0)


def test_a_permutation_is_the_order_of_its_words(device):
    words = device.get(random.permutation_words(like(device), 1001, 3, 7, 2))
    np.testing.assert_array_equal(np.argsort(words, kind="stable"), cpu.permutation(1001, seed=3, stream=7, step=2))


@pytest.mark.parametrize("address", [(-1, 0, 0), (2**64, 0, 0), (0, 2**32, 0), (0, -1, 0), (0, 0, -1), (0, 0, 2**64)])
def test_addresses_outside_their_words_are_refused(device, address):
    with pytest.raises(OverflowError):
        random.uniform(like(device), 3, np.float32, *address)


def test_a_graph_draws_anew_in_every_launch(device):
    """The step of a captured draw is a Counter; seed and stream are constants of the graph."""
    counters, increments = device.put(np.array([0, 2**32 - 2], np.int64)), device.put(np.array([5, 1], np.int64))
    random.normal(like(device), 3, np.float32, 0, 0, 0)  # compiles
    advance(device.put(np.zeros(2, np.int64)), increments)
    model, graph = like(device), device.backend.Graph()
    with graph.capture():
        first = random.normal(model, (5, 3), np.float32, 9, 1, Counter(counters[1:], 0))
        second = random.uniform(model, (5, 3), np.float32, 9, 1, Counter(counters[1:], 1))
        advance(counters, increments)
    for step in range(2**32 - 2, 2**32 + 2):  # across the carry from the counter's second word to its third
        graph.launch()
        np.testing.assert_allclose(device.get(first), cpu.normal((5, 3), seed=9, stream=1, step=step), rtol=1.2e-7)
        np.testing.assert_array_equal(device.get(second), cpu.uniform((5, 3), seed=9, stream=1, step=step + 1))
    assert device.get(counters).tolist() == [20, 2**32 + 2]
