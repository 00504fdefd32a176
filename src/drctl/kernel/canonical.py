"""Canonical JSON: one byte string for one value, so that a digest means something."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = (
    "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"  # recursive
)


def canonical(value: JSON) -> bytes:
    """
    Encodes *value* with sorted keys, no spaces and no NaN.

    Raises:
        ValueError: The value has a NaN or an infinity in it.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(value: JSON) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
