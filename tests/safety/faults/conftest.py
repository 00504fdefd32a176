"""Puts this folder on the path: the cases import the bench by name."""

import asyncio
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)
