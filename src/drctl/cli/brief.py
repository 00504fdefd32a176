"""Commands that read, answer and end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def brief() -> Iterator[None]:
    """
    Looks for no garbage meanwhile: nearly all that such a command makes it keeps until it ends, and
    going through a large runbook again and again takes a tenth of its time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
