"""
Counts what a Python process asks of others, for ``BENCH_CALLS``; imports nothing that it watches.

``requests`` are those of boto3 and the Kubernetes client; probes, messages, name lookups and
PostgreSQL show as ``connections`` only.
"""

import atexit
import os
import sys
from pathlib import Path

_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"PATCH ", b"DELETE ")
_counts = {"requests": 0, "connections": 0}


def _count(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        _counts["connections"] += 1
    elif event == "http.client.send" and bytes(arguments[1][:7]).startswith(_METHODS):
        _counts["requests"] += 1


def _note(place: Path) -> None:
    with place.open("a") as file:
        file.write(f"{_counts['requests']} {_counts['connections']}\n")


if "BENCH_CALLS" in os.environ:
    sys.addaudithook(_count)
    atexit.register(_note, Path(os.environ["BENCH_CALLS"]))
