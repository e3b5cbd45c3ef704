"""A code as bytes: range coding with a Prior's probabilities, by the library constriction.

Row by row, place by place, channel by channel, so that the context of a number is known before the number is. The last
word's zero bytes are left out: the decoder puts them back.
Source   Martin, Range encoding, 1979. Bamler, Understanding entropy coding with asymmetric numeral systems, 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.errors import DataError, require
from minigan.run.codec.prior import Prior

WORD = 4  # bytes


def encode(symbols: np.ndarray, prior: Prior) -> bytes:
    """The bytes of one code, whole numbers (K, h, w).

    Raises:
        ModuleNotFoundError: constriction is not installed.
    """
    stream = constriction().stream
    rows = np.ascontiguousarray(prior.rows(symbols).transpose(1, 2, 0, 3)).reshape(-1, prior.levels)  # (h*w*K, L)
    values = np.ascontiguousarray(symbols.transpose(1, 2, 0)).reshape(-1).astype(np.int32)  # (h*w*K,)
    encoder = stream.queue.RangeEncoder()
    encoder.encode(values, stream.model.Categorical(perfect=False), rows)
    words: bytes = encoder.get_compressed().astype(">u4").tobytes()
    return words.rstrip(b"\0")


def decode(body: bytes, prior: Prior, height: int, width: int) -> np.ndarray:
    """The code int64 (K, height, width) of bytes that `encode` returned, with the same prior.

    Raises:
        DataError: no such bytes. ModuleNotFoundError: constriction is not installed.
    """
    stream = constriction().stream
    words = np.frombuffer(body + bytes(-len(body) % WORD), ">u4").astype(np.uint32)
    decoder, family = stream.queue.RangeDecoder(words), stream.model.Categorical(perfect=False)
    around = np.full((prior.code + 1, height + 1, width + 1), prior.levels)  # as in prior.context
    try:
        for y in range(1, height + 1):
            for x in range(1, width + 1):
                for k in range(prior.code):
                    row = prior.probabilities[k, around[k + 1, y, x - 1], around[k + 1, y - 1, x], around[k, y, x]]
                    around[k + 1, y, x] = decoder.decode(family, row[None])[0]
    except (ValueError, AssertionError, OverflowError) as error:  # bytes that no encoder writes
        raise DataError(f"the bytes are not those of a code ({error}); compress the picture again") from None
    return around[1:, 1:, 1:]


def constriction() -> Any:
    """The library. Raises ModuleNotFoundError with the remedy."""
    return require("constriction", "the entropy coder")
