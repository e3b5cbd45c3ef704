"""Random kernels: known answers, and the address of every value; tests/test_random.py has the statistics."""

import numpy as np
import pytest

from minigan import kernels
from minigan.kernels import Counter

KNOWN = [  # the Random123 distribution's kat_vectors for philox4x32 with 10 rounds: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
LIKE = np.empty(0)
SEED, STREAM, STEP = 0x0123456789ABCDEF, 77, 0xFEDCBA9876543210


def words(*blocks):
    """The words of blocks at the address above, by the bijection of the known answers."""
    counters = np.array([[block, STEP & 0xFFFFFFFF, STEP >> 32, STREAM] for block in blocks], np.uint32)
    key = np.array([SEED & 0xFFFFFFFF, SEED >> 32], np.uint32)
    return kernels.philox4x32(counters, key).astype(np.uint64)


def test_known_answers():
    counters, keys, answers = (
        np.array([[int(word, 16) for word in row[i].split()] for row in KNOWN], np.uint32) for i in range(3))
    np.testing.assert_array_equal(kernels.philox4x32(counters, keys), answers)


def test_where_the_bits_of_a_value_come_from():
    w = words(0, 1, 2)
    uniform = kernels.uniform(LIKE, 12, np.float32, SEED, STREAM, STEP)
    np.testing.assert_array_equal(uniform, (w >> np.uint64(8)).ravel() / 2**24)
    pairs = (w[:, ::2] | w[:, 1::2] << np.uint64(32)).ravel()
    np.testing.assert_array_equal(kernels.permutation_words(LIKE, 6, SEED, STREAM, STEP), pairs)
    wanted = [int(word) % 1000 - 4 for word in pairs]
    assert kernels.integers(LIKE, -4, 996, (2, 3), SEED, STREAM, STEP).ravel().tolist() == wanted
    wide = kernels.uniform(LIKE, (2, 3), np.float64, SEED, STREAM, STEP)
    np.testing.assert_array_equal(wide.ravel(), (pairs >> np.uint64(11)) / 2**53)


@pytest.mark.parametrize("name", ["uniform", "normal"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_part_of_an_array_is_computed_without_the_rest(name, dtype):
    """From any number on, within a block of words, across the end of a chunk of blocks, and at the last block."""
    kernel = getattr(kernels, name)
    whole = kernel(LIKE, 40_000, dtype, SEED, STREAM, STEP)
    for first, count in ((0, 5), (1, 2), (3, 1), (6, 7), (32_767, 5), (39_999, 1), (40_000, 0)):
        part = kernel(LIKE, count, dtype, SEED, STREAM, STEP, first)
        assert part.tobytes() == whole[first : first + count].tobytes()
    end = (16 // np.dtype(dtype).itemsize) << 32
    assert kernel(LIKE, 1, dtype, SEED, STREAM, STEP, end - 1).shape == (1,)
    with pytest.raises(ValueError, match=r"addresses 2\^32 blocks of four words, but 4294967297 are"):
        kernel(LIKE, 1, dtype, SEED, STREAM, STEP, end)


def test_a_step_may_be_read_from_an_array_across_the_carry_of_its_words():
    base = np.array([2**32 - 2])
    for offset in range(4):
        result = kernels.normal(LIKE, 5, np.float32, 1, 2, Counter(base, offset))
        np.testing.assert_array_equal(result, kernels.normal(LIKE, 5, np.float32, 1, 2, 2**32 - 2 + offset))


def test_a_shape_may_be_a_number_and_has_no_negative_sizes():
    assert kernels.normal(LIKE, 5, np.float64, 1, 2, 3).shape == (5,)
    assert kernels.normal(LIKE, (), np.float64, 1, 2, 3).shape == ()
    with pytest.raises(ValueError, match=r"no negative sizes, but \(2, -1\) does"):
        kernels.normal(LIKE, (2, -1), np.float64, 1, 2, 3)


def test_an_empty_range_is_refused():
    for low, high in ((3, 3), (0, 2**63 + 1)):
        with pytest.raises(ValueError, match="need -2\\^63 <= low < high"):
            kernels.integers(LIKE, low, high, 3, 0, 0, 0)
