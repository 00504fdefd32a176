"""Canonical JSON: one byte string for one value, so that a digest means something."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = (
    "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"  # recursive
)


_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
)


def canonical(value: JSON) -> bytes:
    """
    Encodes *value*, which is a tree, with sorted keys, no spaces and no NaN.

    Raises:
        ValueError: The value has a NaN or an infinity in it.
    """
    return _ENCODER.encode(value).encode()


def as_json(value: Any) -> Any:
    """
    The same value made writable: what other sides send may hold numbers that are none and halves of
    characters, and neither may keep a record from being written.
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {as_json(str(key)): as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case bool() | int() | None:
            return value
    return as_json(str(value))


def digest_of_members(members: Mapping[str, bytes]) -> str:
    """The digest of an object, given the canonical form of each of its members."""
    whole = hashlib.sha256(b"{")
    for number, name in enumerate(sorted(members)):
        whole.update(b"," if number else b"")
        whole.update(canonical(name) + b":")
        whole.update(members[name])
    whole.update(b"}")
    return whole.hexdigest()


def digest(value: JSON) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
