"""A bind mount in a namespace of its own, as root or as an ordinary user."""

import ctypes
import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

_NEWNS, _NEWUSER, _BIND, _PRIVATE = 0x20000, 0x10000000, 0x1000, 0x40000 | 0x4000


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    me, group = os.geteuid(), os.getegid()
    flags = _NEWNS | (_NEWUSER if me else 0)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
    if me:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{me} {me} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if libc.mount(b"none", b"/", None, _PRIVATE, None):
        raise OSError(ctypes.get_errno(), "mount --make-rprivate")


def bound(source: Path, target: Path, work: Callable[[], list[str]]) -> list[str]:
    """What *work* returns in a child for which *source* is mounted over *target*."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            try:
                _enter()
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.mount(str(source).encode(), str(target).encode(), None, _BIND, None):
                    raise OSError(ctypes.get_errno(), "mount")  # noqa: TRY301 (told to the parent)
                json.dump(work(), said)
            except OSError as error:
                json.dump([f"no mount: {error}"], said)
            finally:
                said.flush()
                os._exit(0)
        os.waitpid(child, 0)
        said.seek(0)
        found: list[str] = json.load(said)
        return found


@cache
def why_not() -> str:
    """Why nothing can be mounted here; empty: it can."""
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "a", Path(folder) / "b"
        one.mkdir()
        other.mkdir()
        return "; ".join(bound(one, other, list))
