"""Coroutines for callers that are none."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """
    Runs a coroutine to its end in a thread and a loop of its own.

    Unlike `asyncio.run` it may be called where a loop runs already, and leaves none behind.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()
