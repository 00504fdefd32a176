"""Durations as people write them: ``4m30s``, ``90s``, ``1.5s``, ``250ms``, ``1h``."""

import re
from datetime import timedelta
from functools import lru_cache

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> timedelta:
    """
    Reads a duration with units, largest unit first.

    Raises:
        ValueError: No unit, an unknown unit, or anything else between the parts. The message says
            what to write instead.

    Example:
        >>> parse_duration("4m30s")
        datetime.timedelta(seconds=270)
    """
    seconds, end, last = 0.0, 0, float("inf")
    for part in _PART.finditer(text):
        unit_s = _UNIT_S[part[2]]
        if part.start() != end or unit_s >= last:
            break
        seconds, end, last = seconds + float(part[1]) * unit_s, part.end(), unit_s
    if not text or end != len(text):
        hint = f'; write "{text}s" for seconds' if re.fullmatch(r"\d+(\.\d+)?", text) else ""
        message = f'"{text}" is not a duration: units are ms, s, m, h, d, as in "4m30s"{hint}'
        raise ValueError(message)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        message = f'"{text[:40]}…" is longer than a duration can be'
        raise ValueError(message) from None


@lru_cache(maxsize=1024)
def format_duration(length: timedelta | float) -> str:
    """
    Writes a duration for people: whole milliseconds below a second, tenths below ten, then seconds.

    Example:
        >>> format_duration(270)
        '4m30s'
        >>> format_duration(1.24)
        '1.2s'
    """
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 10:  # noqa: PLR2004 (below ten seconds a tenth is worth reading)
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
