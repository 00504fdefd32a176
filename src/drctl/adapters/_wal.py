"""Where the WAL of a primary ends, as a standby can reach it."""

from collections.abc import Mapping
from typing import Any, Final

from drctl.adapters._witness import lsn_to_int

COLUMNS: Final = """
       pg_current_wal_insert_lsn()::text AS insert_lsn,
       current_setting('wal_block_size')::bigint AS page_bytes,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes
"""
"""What `end` reads. Of the insert position, because asynchronous commits may not be written yet."""
_LONG_HEADER, _SHORT_HEADER = 40, 24
"""Bytes at the head of a segment's first page, and of every other one."""


def end(row: Mapping[str, Any]) -> str:
    """
    The end of the last record. A position at which the next record will begin lies behind the head
    of a page that is not written before that record is: no standby of a primary at rest ever has
    it, and who waits for it waits in vain.

    Args:
        row: With `COLUMNS`.

    Example:
        >>> sizes = {"page_bytes": 8192, "segment_bytes": 16777216}
        >>> end({"insert_lsn": "0/7000028", **sizes}), end({"insert_lsn": "0/7002018", **sizes})
        ('0/7000000', '0/7002000')
    """
    at = lsn_to_int(row["insert_lsn"])
    if at % row["segment_bytes"] == _LONG_HEADER:
        at -= _LONG_HEADER
    elif at % row["page_bytes"] == _SHORT_HEADER:
        at -= _SHORT_HEADER
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"
