"""Philox: known answers, a second implementation with Python integers, statistics at known quantiles, addresses."""

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import kernels, random
from minigan.errors import DTypeError

KNOWN = [  # the Random123 distribution's kat_vectors for philox4x32 with 10 rounds: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
DRAWS = [
    lambda **address: random.normal((5, 3), **address),
    lambda **address: random.uniform((5, 3), **address),
    lambda **address: random.integers(-4, 1000, (5, 3), **address),
    lambda **address: random.permutation(50, **address),
]


def words(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


def philox(counter, key):
    """The definition, with Python integers, one block at a time."""
    (a, b, c, d), (k, l) = ([int(word) for word in words_] for words_ in (counter, key))
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q >> 32 ^ b ^ k, q & 0xFFFFFFFF, p >> 32 ^ d ^ l, p & 0xFFFFFFFF
        k, l = (k + 0x9E3779B9) % 2**32, (l + 0xBB67AE85) % 2**32
    return [a, b, c, d]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_known_answers(counter, key, answer):
    assert random.philox4x32(words(counter), words(key)).tolist() == words(answer).tolist()


def test_known_answers_all_at_once():
    counters, keys, answers = (np.stack([words(row[i]) for row in KNOWN]) for i in range(3))
    result = random.philox4x32(counters, keys)
    assert result.dtype == np.uint32
    assert np.array_equal(result, answers)
    for shape in ((3, 1, 4), (1, 3, 4)):  # counters and keys broadcast
        assert random.philox4x32(counters.reshape(shape), keys).shape == (*np.broadcast_shapes(shape[:2], (3,)), 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
def test_against_the_definition(numbers):
    counter, key = np.array(numbers[:4], np.uint32), np.array(numbers[4:], np.uint32)
    assert random.philox4x32(counter, key).tolist() == philox(counter, key)


def test_the_address_of_a_value():
    """Element i of a float32 array is word i % 4 of block i // 4, of counter (block, step low, step high, stream)."""
    seed, step, stream = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 77
    values = random.uniform(40_000, seed=seed, stream=stream, step=step)
    wide = random.uniform(40_000, seed=seed, stream=stream, step=step, dtype=np.float64)
    for i in (0, 1, 5, 39_999):
        block = philox([i // 4, 0x76543210, 0xFEDCBA98, stream], [0x89ABCDEF, 0x01234567])
        assert values[i] == (block[i % 4] >> 8) / 2**24
        block = philox([i // 2, 0x76543210, 0xFEDCBA98, stream], [0x89ABCDEF, 0x01234567])
        low, high = block[2 * (i % 2) : 2 * (i % 2) + 2]
        assert wide[i] == ((high << 32 | low) >> 11) / 2**53


@pytest.mark.parametrize("dtype, bits", [(np.float32, 32), (np.float64, 53)])
def test_normal_is_box_muller(dtype, bits):
    block = philox([3, 2, 0, 9], [5, 0])
    if dtype == np.float32:
        (u, v), first = [word / 2**32 for word in block[:2]], 12
    else:
        (u, v), first = [((block[i + 1] << 32 | block[i]) >> 11) / 2**53 for i in (0, 2)], 6
    r = math.sqrt(-2 * math.log(1 - u))
    expected = np.array([r * math.cos(2 * math.pi * v), r * math.sin(2 * math.pi * v)])
    got = random.normal(20, seed=5, stream=9, step=2, dtype=dtype)[first : first + 2]
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=1e-7 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("function", [random.normal, random.uniform])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), 7, (0, 3), (3, 5, 2), (1, 33_000)])
def test_shapes_and_prefixes(function, dtype, shape):
    """A smaller array is the start of a larger one, also across the kernel's chunks."""
    values = function(shape, seed=1, dtype=dtype)
    assert values.dtype == dtype
    assert values.shape == ((shape,) if isinstance(shape, int) else shape)
    assert np.array_equal(values.ravel(), function(40_000, seed=1, dtype=dtype)[: values.size])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_is_uniform(dtype):
    n = 200_000
    values = np.sort(random.uniform(n, seed=3, stream="ks", dtype=dtype).astype(np.float64))
    assert values[0] >= 0 and values[-1] < 1
    distance = np.abs(values - (np.arange(n) + 0.5) / n).max()
    assert distance * math.sqrt(n) < 1.95  # Kolmogorov-Smirnov: exceeded once in 1,000 seeds


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_is_normal(dtype):
    n = 200_000
    values = random.normal(n, seed=4, stream="ks", dtype=dtype).astype(np.float64)
    assert abs(values.mean()) < 3.3 / math.sqrt(n)
    assert abs(values.var() - 1) < 3.3 * math.sqrt(2 / n)
    assert abs((values**3).mean()) < 3.3 * math.sqrt(15 / n)
    assert abs((values**4).mean() - 3) < 3.3 * math.sqrt(96 / n)
    for z, share in [(-2.575829, 0.005), (-1.281552, 0.1), (0, 0.5), (0.674490, 0.75), (3.090232, 0.999)]:
        assert abs((values < z).mean() - share) < 3.3 * math.sqrt(share * (1 - share) / n)
    assert abs(np.corrcoef(values[::2], values[1::2])[0, 1]) < 3.3 / math.sqrt(n / 2)  # the two of a Box-Muller pair


def test_bytes_are_equally_frequent():
    word = random.integers(0, 2**64 - 2**63, 50_000, seed=8)  # 63 random bits
    counts = np.bincount(word.view(np.uint8).reshape(-1, 8)[:, :7].ravel(), minlength=256)
    expected = counts.sum() / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert 185 < chi2 < 335  # 255 degrees of freedom: 0.001 on either side


def test_no_logarithm_of_zero(monkeypatch):
    """The smallest and the largest words give finite normals."""
    for word in (0, 0xFFFFFFFF):
        monkeypatch.setattr(kernels.cpu.random, "_rounds", lambda words, *_, word=word: [w.fill(word) for w in words])
        for dtype, bits in ((np.float32, 32), (np.float64, 53)):
            values = random.normal(8, seed=0, dtype=dtype)
            assert np.isfinite(values).all()
            radius = math.sqrt(2 * bits * math.log(2)) if word else 0
            assert np.abs(values).max() == pytest.approx(radius, rel=1e-5)


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 4), (0, 10**12), (-(2**63), 2**63)])
def test_integers(low, high):
    values = random.integers(low, high, 5000, seed=2)
    assert values.dtype == np.int64 and values.shape == (5000,)
    assert all(low <= int(v) < high for v in (values.min(), values.max()))
    if high - low < 100:
        counts = np.bincount(values - low, minlength=high - low)
        assert counts.min() > 0.8 * 5000 / (high - low)
    else:
        middle = (low + high) // 2
        assert abs((values >= middle).mean() - 0.5) < 3.3 / math.sqrt(4 * 5000)


def test_permutation():
    order = random.permutation(1000, seed=5)
    assert order.dtype == np.int64 and sorted(order) == list(range(1000))
    assert random.permutation(0, seed=5).shape == (0,) and random.permutation(1, seed=5).tolist() == [0]
    counts = np.zeros((6, 6))
    for step in range(1200):
        counts[np.arange(6), random.permutation(6, seed=5, step=step)] += 1
    assert (
        (counts - 200) ** 2 / 200
    ).sum() < 53  # every item equally often at every position; chi-square, 25 degrees, 0.001


@pytest.mark.parametrize("draw", DRAWS)
def test_every_part_of_the_address_matters(draw):
    base = draw(seed=1, stream=2, step=3)
    assert np.array_equal(base, draw(seed=1, stream=2, step=3))
    others = [(2, 2, 3), (1, 3, 3), (1, 2, 4), (1 + 2**32, 2, 3), (1, 2, 3 + 2**32), (1, "2", 3)]
    for seed, stream, step in others:
        assert not np.array_equal(base, draw(seed=seed, stream=stream, step=step))


def test_generator_resumes():
    def draw(stream):
        return [
            stream.normal((3,)),
            stream.uniform(2, np.float64),
            stream.integers(0, 9, 4),
            stream.permutation(5),
        ]

    first = random.Stream(11, "noise")
    draw(first)
    state = first.state_dict()
    assert state == {"seed": 11, "stream": random.stream_id("noise"), "step": 4}
    second = random.Stream()
    second.load_state_dict(state)
    assert all(np.array_equal(a, b) for a, b in zip(draw(first), draw(second), strict=True))
    assert repr(second) == f"Stream(seed=11, name={state['stream']}, step=8)"
    assert np.array_equal(random.Stream(11, "noise", 8).normal(2), random.normal(2, seed=11, stream="noise", step=8))


def test_generator_stays_where_it_is_when_a_call_fails():
    stream = random.Stream(1)
    with pytest.raises(ValueError, match="negative"):
        stream.normal((2, -1))
    with pytest.raises(ValueError, match="step"):
        stream.load_state_dict({"seed": 5, "stream": 5, "step": -1})
    with pytest.raises(ValueError, match="needs seed, stream and step"):
        stream.load_state_dict({"seed": 5})
    assert stream.state_dict() == {"seed": 1, "stream": 0, "step": 0}


def test_module_seed_resets_default_in_place():
    before, state = random.default, random.default.state_dict()
    try:
        random.seed(123)
        values = random.default.normal(4)
        random.seed(123)
        assert random.default is before
        assert np.array_equal(values, random.default.normal(4))
    finally:
        random.default.load_state_dict(state)


@pytest.mark.parametrize("seed", [-1, 2**64, 2**70])
def test_seed_out_of_range(seed):
    for call in (random.Stream, random.seed, lambda s: random.normal(3, seed=s)):
        with pytest.raises(ValueError, match=rf"seed must lie in \[0, 2\^64\), but is {seed}"):
            call(seed)


def test_bad_arguments():
    random.normal(1, seed=np.uint64(2**64 - 1))
    with pytest.raises(TypeError, match="seed must be an integer"):
        random.normal(1, seed=1.5)
    with pytest.raises(ValueError, match="stream"):
        random.Stream(0, 2**32)
    with pytest.raises(DTypeError, match="float16"):
        random.normal(1, seed=0, dtype=np.float16)
    with pytest.raises(DTypeError, match="int32"):
        random.uniform(1, seed=0, dtype=np.int32)
    with pytest.raises(ValueError, match="low=3 and high=3"):
        random.integers(3, 3, 1, seed=0)
    with pytest.raises(ValueError, match="n must lie"):
        random.permutation(-1, seed=0)
    with pytest.raises(ValueError, match="must end in 4 words"):
        random.philox4x32(np.zeros(3, np.uint32), np.zeros(2, np.uint32))


def test_another_process_draws_the_same():
    code = "from minigan import random; print(random.normal(3, seed=1, stream='noise').tobytes().hex())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == random.normal(3, seed=1, stream="noise").tobytes().hex()


def test_numpy_global_state_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # the global state must not change
    random.Stream(0).normal(10)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_it_is_fast_enough():
    """A million normals take about 25 ms; the limit, ten times that, only catches a loop over values."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        random.normal(1_000_000, seed=0)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.25
