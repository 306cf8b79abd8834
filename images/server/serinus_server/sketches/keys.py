"""The buckets of numbers: a float64's sign, its exponent and the first 7 bits of its fraction, as one integer.

So a bucket is found without a logarithm, each power of two is cut into 128 equal parts, and two buckets become one of
the next level by dropping a bit: levels are nested, and every pod and version has the same ones, whatever it has seen.
A signed key is the magnitude's key, negative for negative numbers; there is no key 0.
"""

import math
import struct
from typing import Any, Final

import numpy as np

type Keys = np.ndarray[Any, np.dtype[np.int32]]

# Parts of a power of two at level 0, as bits.
FRACTION: Final = 7
_DROPPED: Final = 52 - FRACTION
# A key without its sign has as many bits: 11 of the exponent and those of the fraction.
MAGNITUDE: Final = 11 + FRACTION
SIGNED: Final = MAGNITUDE + 1
# Anything nearer to 0 than 1e-305 is 0, so that the coarsest key of a magnitude is never 0.
TINY: Final = 8 << FRACTION
INFINITE: Final = 2047 << FRACTION
# All magnitudes of both signs are no more buckets than LARGEST there, so nothing is ever coarser.
COARSEST: Final = 9
# The most buckets of one sketch.
LARGEST: Final = 1024


def raw(values: np.ndarray[Any, np.dtype[np.float64]]) -> Keys:
    """Of each number its raw key at level 0: negative numbers below 2**18, the others above. Of NaN and so on, too."""
    shifted = values.view(np.int64) >> _DROPPED
    return (shifted + (1 << MAGNITUDE)).astype(np.int32)


def signed(keys: Keys, level: int) -> Keys:
    """Raw keys, which have lost `level` bits, as signed ones."""
    half = 1 << (MAGNITUDE - level)
    return np.where(keys >= half, keys - half, -keys)


def key(value: float, level: int = 0) -> int:
    """The signed key of a finite number that is not tiny."""
    (bits,) = struct.unpack("<q", struct.pack("<d", abs(value)))
    magnitude = int(bits) >> (_DROPPED + level)
    return magnitude if value > 0 else -magnitude


def bounds(signed_key: int, level: int) -> tuple[float, float]:
    """The smallest number of the bucket, and where the next one begins; of negative numbers the other way round."""
    low, high = _edge(abs(signed_key), level), _edge(abs(signed_key) + 1, level)
    return (low, high) if signed_key > 0 else (-high, -low)


def middle(signed_key: int, level: int) -> float:
    """The number that is, in relation, equally far from both ends of the bucket."""
    low = _edge(abs(signed_key), level)
    high = _edge(abs(signed_key) + 1, level)
    # Where the largest numbers end there is no number to be divided by; the step of their exponent is known.
    ratio = high / low if high < math.inf else 2 / max(2 - 2.0 ** (level - FRACTION), 0.125)
    value = low * (2 * ratio / (1 + ratio))
    return value if signed_key > 0 else -value


def error(level: int) -> float:
    """How far, in relation, a number may be from the middle of its bucket."""
    ratio = 1 + 2.0 ** (level - FRACTION) if level <= FRACTION else 2.0 ** (1 << (level - FRACTION))
    return (ratio - 1) / (ratio + 1)


def coarser(signed_key: int, levels: int) -> int:
    """The bucket that holds this one so many levels up."""
    return signed_key >> levels if signed_key > 0 else -(-signed_key >> levels)


def _edge(magnitude: int, level: int) -> float:
    bits = min(magnitude << (_DROPPED + level), INFINITE << _DROPPED)
    (value,) = struct.unpack("<d", struct.pack("<q", bits))
    return float(value)
