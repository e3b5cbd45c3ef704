"""How float32 numbers are multiplied, on every device. float64 is always exact, and so are the gradient checks.

    "fast"    on a GPU, tensor cores that round what they multiply to 10 bits (TF32): errors of 1e-3 of the result's
              scale. On a CPU, convolutions with the fewest products: 1e-5 to 5e-5 of the result's deviation
    "fp32"    1e-6 on a GPU; on a CPU, convolutions directly or with fewer products at errors of at most 6e-6
    "bf16"    on a GPU: images between layers, and the weights that they are multiplied by, are stored with 8 bits of
              mantissa, half of float32's bytes; sums, statistics, losses and the weights themselves stay float32
    "bf16-emulated"    on a CPU only: "fast", and what a GPU would store as bf16 is rounded to it (rounding.py)
"""

from __future__ import annotations

NAMES = ("fast", "fp32", "bf16", "bf16-emulated")
_precision = "fast"


def set_precision(precision: str) -> None:
    """Multiply float32 numbers this way from now on; "tf32" is what earlier versions called "fast".

    Raises ValueError for another name.
    """
    global _precision
    precision = "fast" if precision == "tf32" else precision
    if precision not in NAMES:
        raise ValueError(f"precision {precision!r} is none of {', '.join(map(repr, NAMES))}")
    _precision = precision


def get_precision() -> str:
    """What set_precision has set: one of NAMES."""
    return _precision
