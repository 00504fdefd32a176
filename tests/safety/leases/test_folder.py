"""The cell in a folder of this machine, where a lock file would go wrong."""

import os
import stat

import pytest
from arena import context

from drctl.actions.errors import Conflict, OutcomeUnknown, Unavailable
from drctl.journal.file_cell import KEPT, FileCell
from drctl.kernel import failpoints


async def test_a_writer_stopped_for_many_versions_does_not_write_an_old_one(tmp_path):
    """Its name was taken and removed meanwhile, so link(2) alone would let it through."""
    stopped, others = FileCell(tmp_path / "book"), FileCell(tmp_path / "book")
    version = await stopped.write(context(), b"1", None)
    handle = stopped._open()
    os.close(handle)

    def while_stopped(point, _number):
        if point != "lease.before_link":
            return
        failpoints.watch(None)
        import asyncio

        async def write():
            number = version
            for _ in range(KEPT + 2):
                number = await others.write(context(), b"other", number)

        loop = asyncio.new_event_loop()
        import threading

        thread = threading.Thread(target=lambda: loop.run_until_complete(write()))
        thread.start()
        thread.join()
        loop.close()

    failpoints.watch(while_stopped)
    try:
        with pytest.raises(Conflict):
            await stopped.write(context(), b"late", version)
    finally:
        failpoints.watch(None)
    assert (await others.read(context())).data == b"other"
    numbers = sorted(int(path.name) for path in (tmp_path / "book").iterdir())
    assert numbers == list(range(numbers[-1] - KEPT + 1, numbers[-1] + 1))


async def test_only_its_owner_may_write_the_folder(tmp_path):
    cell = FileCell(tmp_path / "book")
    await cell.write(context(), b"1", None)
    assert stat.S_IMODE((tmp_path / "book").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "book" / "1").stat().st_mode) == 0o600
    (tmp_path / "book").chmod(0o777)
    with pytest.raises(Unavailable):
        await cell.read(context())
    (tmp_path / "link").symlink_to(tmp_path / "book")
    with pytest.raises(Unavailable):
        await FileCell(tmp_path / "link").read(context())


async def test_what_is_no_plain_file_is_no_document(tmp_path):
    cell = FileCell(tmp_path / "book")
    await cell.write(context(), b"1", None)
    os.mkfifo(tmp_path / "book" / "2")
    with pytest.raises(Unavailable):
        await cell.read(context())


@pytest.mark.parametrize(
    ("point", "error", "data"),
    [
        ("lease.before_link", Unavailable, None),
        ("lease.after_link", OutcomeUnknown, b"1"),
    ],
)
async def test_a_disk_that_fails_says_what_is_known(tmp_path, point, error, data):
    cell = FileCell(tmp_path / "book")
    failpoints.arm(failpoints.parse(f"{point}:raise"))
    try:
        with pytest.raises(error):
            await cell.write(context(), b"1", None)
    finally:
        failpoints.arm([])
    if error is Unavailable:
        assert (await cell.read(context())).data == data
    assert not [p for p in (tmp_path / "book").iterdir() if p.name.startswith(".")]
