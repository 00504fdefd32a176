"""A run's folder: who may write, who holds it, and what a broken disk means."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine_model import plan_of, started, step

from drctl.engine import events as e
from drctl.journal import folder as folders
from drctl.journal import space
from drctl.journal.folder import Folder, Journal, all_folders
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import JournalError
from drctl.kernel.ids import RunId

PLAN = plan_of(step("a"))
EVENT = e.StepStarted(step="a", attempt=1)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "state" / "runs"


@pytest.fixture
def journal(runs):
    made = Journal.create(runs, RunId("run-1"), PLAN, SystemClock())
    yield made
    made.close()


def code(caught):
    return caught.value.problems[0].code


def test_only_the_owner_may_read_a_run(journal, runs):
    old = os.umask(0)
    try:
        other = Journal.create(runs, RunId("run-2"), PLAN, SystemClock())
    finally:
        os.umask(old)
    for run in (journal, other):
        here = run.folder.path
        for path in (here, here / "inbox"):
            assert 0o700 == stat.S_IMODE(path.stat().st_mode)
        for name in ("plan.json", "events.jsonl", "lock"):
            assert 0o600 == stat.S_IMODE((here / name).stat().st_mode)
    assert 0o700 == stat.S_IMODE(runs.stat().st_mode)
    other.close()


def test_what_is_appended_is_what_is_read(journal):
    first = journal.append(started(PLAN))
    second = journal.append(EVENT)
    assert (first, second) == journal.folder.read().records
    assert PLAN == journal.folder.plan()


def test_each_event_is_synced_before_it_counts(journal, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(fd) or real(fd))
    journal.append(EVENT)
    assert 1 == len(synced)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_after_a_write_that_failed_nothing_is_written_and_nothing_is_ours(
    journal, monkeypatch, call
):
    """The disk may be well again; half a line is there, or pages that nobody has."""
    journal.append(EVENT)

    def fail(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders.os, call, fail)
        with pytest.raises(JournalError) as caught:
            journal.append(EVENT)
    assert code(caught) == "DR4003"
    assert not journal.is_ours()
    size = journal.folder.journal.stat().st_size
    with pytest.raises(JournalError):
        journal.append(EVENT)
    assert size == journal.folder.journal.stat().st_size


def test_a_short_write_is_carried_on(journal, monkeypatch):
    real = os.write
    monkeypatch.setattr(folders.os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    journal.append(EVENT)
    assert 1 == len(journal.folder.read().records)


def test_an_event_that_json_cannot_hold_is_not_written(journal):
    with pytest.raises(JournalError):
        journal.append(e.StepStarted(step="\ud800", attempt=1))
    assert journal.folder.journal.read_bytes() == b""


@pytest.mark.parametrize("name", ["lock", "events.jsonl"])
def test_a_file_that_was_replaced_is_not_ours(journal, name):
    path = journal.folder.path / name
    assert journal.is_ours()
    data = path.read_bytes()
    path.unlink()
    assert not journal.is_ours()
    path.write_bytes(data)
    assert not journal.is_ours()
    with pytest.raises(JournalError) as caught:
        journal.append(EVENT)
    assert code(caught) == "DR4002"
    assert path.read_bytes() == data


def test_a_folder_that_is_there_already_is_not_used(journal, runs):
    with pytest.raises(JournalError) as caught:
        Journal.create(runs, RunId("run-1"), PLAN, SystemClock())
    assert code(caught) == "DR4003"


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner needs root to make")
def test_a_place_of_somebody_else_is_refused(runs):
    runs.mkdir(parents=True)
    os.chown(runs, 12345, 12345)
    with pytest.raises(JournalError):
        Journal.create(runs, RunId("run-1"), PLAN, SystemClock())


def test_a_place_that_others_may_write_or_that_is_no_folder_is_refused(runs):
    runs.mkdir(parents=True)
    runs.chmod(0o777)
    with pytest.raises(JournalError) as caught:
        Journal.create(runs, RunId("run-1"), PLAN, SystemClock())
    assert "chmod go-w" in caught.value.problems[0].do
    runs.chmod(0o700)
    runs.rmdir()
    runs.write_text("a file")
    with pytest.raises(JournalError):
        Journal.create(runs, RunId("run-1"), PLAN, SystemClock())


@pytest.mark.parametrize("name", ["events.jsonl", "plan.json"])
@pytest.mark.parametrize("what", ["link", "fifo", "folder", "gone"])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(journal, tmp_path, name, what):
    path = journal.folder.path / name
    path.rename(tmp_path / "away")
    if what == "link":
        path.symlink_to(tmp_path / "away")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    with pytest.raises(JournalError):
        journal.folder.read() if name == "events.jsonl" else journal.folder.plan()


def test_a_plan_that_was_edited_is_refused(journal):
    path = journal.folder.path / "plan.json"
    path.write_text(path.read_text().replace('"Fake"', '"Other"'))
    with pytest.raises(JournalError):
        journal.folder.plan()


def test_a_live_run_is_held_and_a_dead_one_is_not(runs):
    program = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from drctl.journal.folder import Journal; from drctl.kernel.clock import SystemClock;"
        "from engine_model import plan_of, step;"
        "j = Journal.create(Path(sys.argv[1]), 'run-9', plan_of(step('a')), SystemClock());"
        "print('held', flush=True); sys.stdin.read()"
    )
    here = str(Path(__file__).parent.parent / "engine")
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(runs), here],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "held\n"
        run = Folder(path=runs / "run-9")
        assert (run.is_held(), run.standing(run.read())) == (True, "running")
        with pytest.raises(JournalError) as caught:
            Journal.take_up(run, SystemClock())
        assert code(caught) == "DR3001"
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert (run.is_held(), run.standing(run.read())) == (False, "interrupted")
    taken, chain = Journal.take_up(run, SystemClock())
    assert chain.records == ()
    taken.close()


@pytest.fixture
def dead(runs):
    """A run that nobody holds."""
    made = Journal.create(runs, RunId("run-7"), PLAN, SystemClock())
    made.append(started(PLAN))
    made.close()
    return made.folder


def test_to_look_at_a_run_does_not_hold_it(dead):
    """Two who look must not take each other for the one who runs."""
    handle = os.open(dead.path / "lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        assert not dead.is_held()
    finally:
        os.close(handle)


@pytest.mark.parametrize("tail", [b'{"half', b'{"ha\0\0\0"}\n', b"\0" * 4096, b'{"a":"\0"}\n{"b'])
def test_a_torn_line_is_cut_off_when_a_run_is_taken_up(dead, tail):
    with dead.journal.open("ab") as file:
        file.write(tail)
    taken, chain = Journal.take_up(dead, SystemClock())
    assert (1, len(tail)) == (len(chain.records), chain.torn_bytes)
    taken.append(EVENT)
    taken.close()
    assert 2 == len(taken.folder.read().records)


@pytest.mark.parametrize("find", [b'"at"', b"\n"])
def test_a_zero_before_the_last_line_is_no_torn_line(dead, find):
    taken, _chain = Journal.take_up(dead, SystemClock())
    taken.append(EVENT)
    taken.close()
    data = bytearray(dead.journal.read_bytes())
    data[data.index(find)] = 0
    dead.journal.write_bytes(data)
    with pytest.raises(JournalError) as caught:
        Journal.take_up(dead, SystemClock())
    assert code(caught) == "DR4001"


def test_room_is_claimed_at_the_start_and_given_back_at_the_end(runs):
    made = Journal.create(runs, RunId("run-5"), PLAN, SystemClock())
    made.append(EVENT)
    size = made.folder.journal.stat().st_size
    claimed = made.folder.journal.stat().st_blocks * 512
    made.close()
    after = made.folder.journal.stat()
    assert size == after.st_size
    assert after.st_blocks * 512 <= max(8192, size * 2)
    if claimed < space.RESERVED_BYTES:
        pytest.skip("this file system cannot claim room behind the end of a file")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_without_room_for_the_record_refuses_the_run(runs, monkeypatch, number):
    monkeypatch.setattr(space, "_fallocate", lambda *_args: number)
    with pytest.raises(JournalError) as caught:
        Journal.create(runs, RunId("run-5"), PLAN, SystemClock())
    assert code(caught) == "DR4003"
    assert "no room" in caught.value.problems[0].why
    assert [] == list(runs.iterdir()), "what was begun is removed"


def test_where_room_cannot_be_claimed_it_is_asked_for(runs, monkeypatch):
    monkeypatch.setattr(space, "_fallocate", lambda *_args: errno.EOPNOTSUPP)
    Journal.create(runs, RunId("run-5"), PLAN, SystemClock()).close()
    full = SimpleNamespace(f_bavail=10, f_frsize=4096)
    monkeypatch.setattr(os, "fstatvfs", lambda _handle: full)
    with pytest.raises(JournalError):
        Journal.create(runs, RunId("run-6"), PLAN, SystemClock())
    assert ["run-5"] == [entry.name for entry in runs.iterdir()]


def test_an_unfinished_folder_is_no_run(runs, journal):
    (runs / ".run-8.new").mkdir(mode=0o700)
    assert ["run-1"] == [folder.run_id for folder in all_folders(runs)]


def test_a_run_that_lacks_its_lock_cannot_be_taken_up(journal):
    (journal.folder.path / "lock").unlink()
    with pytest.raises(JournalError):
        Journal.take_up(journal.folder, SystemClock())


def test_runs_are_listed_newest_first_and_links_are_none(journal, runs, tmp_path):
    Journal.create(runs, RunId("run-3"), PLAN, SystemClock()).close()
    (runs / "zzz").symlink_to(tmp_path)
    (runs / "a-file").write_text("")
    assert ["run-3", "run-1"] == [folder.run_id for folder in all_folders(runs)]
    assert () == all_folders(tmp_path / "nowhere")
