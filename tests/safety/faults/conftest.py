"""Puts this folder on the path: the cases import the bench by name."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)
