"""Whatever somebody puts in the place of a run's files is refused; nothing outside is written."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import results
from engine_model import plan_of, started, step
from mounts import bound, why_not

from drctl.engine import events as e
from drctl.engine.ports import Answer
from drctl.journal.folder import Folder, Journal, all_folders
from drctl.journal.inbox import FolderInbox, drop
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import JournalError
from drctl.kernel.ids import RunId

PLAN = plan_of(step("a"))
YES = Answer(gate="go", answer="approve", by="alice", via="test")
STRANGER = 12345


class Place:
    """A run that nobody holds, and a folder of somebody else beside it."""

    def __init__(self, top: Path) -> None:
        self.above = top / "state"
        self.runs, self.away = self.above / "runs", top / "away"
        self.away.mkdir(mode=0o700)
        made = Journal.create(self.runs, RunId("run"), PLAN, SystemClock())
        made.append(started(PLAN))
        made.append(e.StepStarted(step="a", attempt=1))
        made.close()
        self.run = made.folder
        self.home = made.folder.path

    def moved(self, path: Path) -> Path:
        """Puts what is at *path* out of the way."""
        there = self.away / path.name
        path.rename(there)
        return there

    def linked(self, path: Path) -> None:
        path.symlink_to(self.moved(path))

    def piped(self, path: Path) -> None:
        self.moved(path)
        os.mkfifo(path, 0o600)

    def doubled(self, path: Path) -> None:
        os.link(path, self.away / path.name)

    def emptied(self, path: Path) -> None:
        path.write_bytes(b"")

    def grown(self, path: Path) -> None:
        os.truncate(path, 1 << 40)

    def outside(self) -> dict[str, tuple[int, bytes]]:
        """What lies in the folder of somebody else."""
        found = {}
        for path in sorted(self.away.rglob("*")):
            if path.is_file() and path.stat().st_size < 1 << 30:
                found[str(path)] = (path.stat().st_mtime_ns, path.read_bytes())
        return found


def taken(place: Place) -> None:
    Journal.take_up(Folder(path=place.home), SystemClock())[0].close()


def begun(place: Place) -> None:
    Journal.create(place.runs, RunId("other"), PLAN, SystemClock()).close()


def answered(place: Place) -> None:
    try:
        assert FolderInbox(place.home / "inbox").take() == []
        drop(place.home / "inbox", YES)
    except OSError as error:
        raise JournalError from error


def looked(place: Place) -> None:
    Folder(path=place.home).read()


def listed(place: Place) -> None:
    all_folders(place.runs)


def _zeros(place: Place) -> None:
    data = bytearray(place.run.journal.read_bytes())
    data[50:60] = bytes(10)
    place.run.journal.write_bytes(data)


def _socket(place: Place) -> None:
    place.moved(place.run.journal)
    here = Path.cwd()
    os.chdir(place.home)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("events.jsonl")
            Path("events.jsonl").chmod(0o600)
    finally:
        os.chdir(here)


def _stranger_link(place: Place) -> None:
    there = place.moved(place.above)
    place.above.symlink_to(there)
    os.chown(place.above, STRANGER, STRANGER, follow_symlinks=False)


Layout = tuple[Callable[[Place], object], tuple[Callable[[Place], None], ...]]
LAYOUTS: dict[str, Layout] = {
    "runs: a link": (lambda p: p.linked(p.runs), (taken, begun, answered, listed)),
    "runs: anybody may write": (lambda p: p.runs.chmod(0o777), (taken, begun, answered, listed)),
    "runs: a group may write": (lambda p: p.runs.chmod(0o770), (taken, begun, answered)),
    "runs: sticky, and anybody may write": (lambda p: p.runs.chmod(0o1777), (taken, begun)),
    "runs: a file": (lambda p: (p.moved(p.runs), p.runs.write_text("")), (taken, begun)),
    "runs: a pipe": (lambda p: p.piped(p.runs), (taken, begun)),
    "above: anybody may write": (lambda p: p.above.chmod(0o777), (taken, begun, listed)),
    "run: a link": (lambda p: p.linked(p.home), (taken, answered)),
    "run: anybody may write": (lambda p: p.home.chmod(0o777), (taken, answered)),
    "run: there before it begins": (lambda p: (p.runs / "other").mkdir(), (begun,)),
    "run: a link before it begins": (lambda p: (p.runs / "other").symlink_to(p.away), (begun,)),
    "run: half made by somebody": (lambda p: (p.runs / ".other.new").symlink_to(p.away), (begun,)),
    "journal: a link": (lambda p: p.linked(p.run.journal), (taken, looked)),
    "journal: a link to nothing": (
        lambda p: (p.moved(p.run.journal), p.run.journal.symlink_to(p.away / "new")),
        (taken,),
    ),
    "journal: a pipe": (lambda p: p.piped(p.run.journal), (taken, looked)),
    "journal: a socket": (_socket, (taken,)),
    "journal: a folder": (lambda p: (p.moved(p.run.journal), p.run.journal.mkdir()), (taken,)),
    "journal: a second name": (lambda p: p.doubled(p.run.journal), (taken,)),
    "journal: anybody may write": (lambda p: p.run.journal.chmod(0o666), (taken,)),
    "journal: huge": (lambda p: p.grown(p.run.journal), (taken,)),
    "journal: zeros in the middle": (_zeros, (taken,)),
    "journal: gone": (lambda p: p.moved(p.run.journal), (taken,)),
    "plan: a link": (lambda p: p.linked(p.home / "plan.json"), (taken,)),
    "plan: a second name": (lambda p: p.doubled(p.home / "plan.json"), (taken,)),
    "plan: empty": (lambda p: p.emptied(p.home / "plan.json"), (taken,)),
    "plan: huge": (lambda p: p.grown(p.home / "plan.json"), (taken,)),
    "lock: a link": (lambda p: p.linked(p.home / "lock"), (taken,)),
    "lock: a pipe": (lambda p: p.piped(p.home / "lock"), (taken,)),
    "lock: a second name": (lambda p: p.doubled(p.home / "lock"), (taken,)),
    "inbox: a link": (lambda p: p.linked(p.home / "inbox"), (answered,)),
    "inbox: anybody may write": (lambda p: (p.home / "inbox").chmod(0o777), (answered,)),
}
OTHERS: dict[str, Layout] = {
    "runs: of somebody else": (lambda p: os.chown(p.runs, STRANGER, 0), (taken, begun, listed)),
    "above: of somebody else": (lambda p: os.chown(p.above, STRANGER, 0), (taken, begun, listed)),
    "above: a link of somebody else": (_stranger_link, (taken, begun, listed)),
    "run: of somebody else": (lambda p: os.chown(p.home, STRANGER, 0), (taken, answered)),
    "journal: of somebody else": (lambda p: os.chown(p.run.journal, STRANGER, 0), (taken,)),
    "plan: of somebody else": (lambda p: os.chown(p.home / "plan.json", STRANGER, 0), (taken,)),
    "lock: of somebody else": (lambda p: os.chown(p.home / "lock", STRANGER, 0), (taken,)),
    "inbox: of somebody else": (lambda p: os.chown(p.home / "inbox", STRANGER, 0), (answered,)),
}
MOUNTED = {
    "run: mounted over": lambda p: p.home,
    "journal: mounted over": lambda p: p.run.journal,
    "inbox: mounted over": lambda p: p.home / "inbox",
}


def refused(place: Place, layout: Layout) -> list[str]:
    """The ways in that were not refused, and what was written outside."""
    spoil, ways = layout
    spoil(place)
    before, ill = place.outside(), []
    for way in ways:
        try:
            way(place)
            ill.append(f"{way.__name__} was not refused")
        except JournalError:
            pass
    if place.outside() != before:
        ill.append("something outside was changed")
    return ill


@pytest.fixture
def place(tmp_path):
    old = os.umask(0)  # the worst one
    try:
        yield Place(tmp_path)
    finally:
        os.umask(old)


def weigh(name, accepted):
    """Counts a layout that was tried, and fails when any way into it was open."""
    results.record("files", "I28", cases=1, violations=len(accepted), part=f"layout: {name}")
    assert accepted == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_hostile_layout_is_refused(place, name):
    weigh(name, refused(place, LAYOUTS[name]))


@pytest.mark.skipif(os.geteuid() != 0, reason="files of somebody else need root to make")
@pytest.mark.parametrize("name", OTHERS)
def test_what_belongs_to_somebody_else_is_refused(place, name):
    weigh(name, refused(place, OTHERS[name]))


@pytest.mark.parametrize("name", MOUNTED)
def test_what_was_mounted_over_is_refused(place, name):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    path = MOUNTED[name](place)
    other = place.away / path.name
    if path.is_dir():
        import shutil

        shutil.copytree(path, other)
        other.chmod(0o700)
    else:
        other.write_bytes(path.read_bytes())
        other.chmod(0o600)
    way = answered if "inbox" in name else taken
    weigh(name, bound(other, path, lambda: refused(place, (lambda _p: None, (way,)))))


def test_links_of_ours_above_the_runs_are_followed(place):
    """A state folder on another disk is no attack."""
    place.linked(place.above)
    taken(place)
    begun(place)


def test_what_was_refused_says_what_to_do(place):
    place.doubled(place.run.journal)
    with pytest.raises(JournalError) as caught:
        taken(place)
    problem = caught.value.problems[0]
    assert "2 names" in problem.why
    assert problem.do


def test_there_are_as_many_layouts_as_were_promised():
    assert len(LAYOUTS) >= 24
