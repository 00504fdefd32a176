"""Folders swapped for links while they are used, and journals cut or holed at any place."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import results
from engine_model import plan_of, started, step

from drctl.engine import events as e
from drctl.engine.ports import Answer
from drctl.journal.chain import decode
from drctl.journal.folder import Folder, Journal
from drctl.journal.inbox import FolderInbox, drop
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import JournalError
from drctl.kernel.ids import RunId

PLAN = plan_of(step("a"))
YES = Answer(gate="go", answer="approve", by="alice", via="test")
ROUNDS = 10_000 if results.is_full() else 1_000


def _swap(path: Path, outside: Path) -> None:
    """Makes *path* a link to somewhere else and back, as fast as it can, until it is killed."""
    away = path.with_name(path.name + ".away")
    while True:
        try:
            path.rename(away)
            path.symlink_to(outside)
            time.sleep(0)
            path.unlink()
            away.rename(path)
        except OSError:
            pass


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["runs", "run", "inbox"])
def test_a_folder_that_is_swapped_for_a_link_is_never_written_through(tmp_path, what):
    runs = tmp_path / "state" / "runs"
    made = Journal.create(runs, RunId("run"), PLAN, SystemClock())
    made.append(started(PLAN))
    made.close()
    box = runs / "run" / "inbox"
    target = {"runs": runs, "run": runs / "run", "inbox": box}[what]
    outside = tmp_path / "outside"
    shutil.copytree(runs if what == "runs" else runs / "run" if what == "run" else box, outside)
    for path in [outside, *outside.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    before = sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in outside.rglob("*"))
    child = os.fork()
    if child == 0:
        try:
            _swap(target, outside)
        finally:
            os._exit(0)
    done = refused = 0
    try:
        for number in range(ROUNDS // 3 + 1):
            try:
                if number % 3 == 0:
                    drop(box, YES)
                elif number % 3 == 1:
                    FolderInbox(box).take()
                else:
                    taken, _chain = Journal.take_up(Folder(path=runs / "run"), SystemClock())
                    try:
                        taken.append(e.StepStarted(step="a", attempt=1))
                    finally:
                        taken.close()
                done += 1
            except (JournalError, OSError):
                refused += 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    after = sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in outside.rglob("*"))
    written = int(before != after)
    results.record(f"files-race-{what}", "I28", cases=done + refused, violations=written)
    assert before == after, "something outside was written"
    assert done, "nothing was tried with success: the race proves nothing"
    assert refused, "the swap was never in the way: the race proves nothing"


def lines() -> bytes:
    """A journal of some lines of many lengths."""
    from drctl.engine.state import Record
    from drctl.journal.chain import GENESIS, encode

    data, head, clock = b"", GENESIS, SystemClock()
    for number in range(1, 13):
        event = started(PLAN) if number == 1 else e.StepStarted(step="a" * number**2, attempt=1)
        line, head = encode(Record(seq=number, at=clock.now(), event=event), head)
        data += line
    return data


def test_a_journal_cut_anywhere_gives_its_whole_lines_and_says_what_was_torn():
    data = lines()
    sizes = range(0, len(data) + 1, 1 if results.is_full() else 7)
    for size in sizes:
        cut = data[:size]
        chain = decode(cut, name="x")
        assert len(chain.records) == cut.count(b"\n")
        assert chain.torn_bytes == size - (cut.rfind(b"\n") + 1)
        assert chain.size + chain.torn_bytes == size
    results.record("files-cut", "I28", cases=len(sizes), violations=0)


def test_a_last_line_of_which_any_part_never_reached_the_disk_is_torn():
    """Its sectors were written in any order when the power went: some are there, some are zeros."""
    data = lines()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    draw = random.Random(28)
    rounds = 2_000 if results.is_full() else 300
    for number in range(rounds):
        sector = draw.choice((8, 64, 512))
        pieces = [data[at : at + sector] for at in range(last, len(data), sector)]
        kept = [draw.random() < 0.5 for _ in pieces]
        if all(kept):
            kept[number % len(kept)] = False
        tail = b"".join(
            piece if keep else bytes(len(piece)) for piece, keep in zip(pieces, kept, strict=True)
        )
        chain = decode(data[:last] + tail, name="x")
        assert len(chain.records) == 11
        assert chain.torn_bytes == len(tail)
    results.record("files-holes", "I28", cases=rounds, violations=0)


def test_any_other_byte_that_is_wrong_stops():
    data = lines()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    draw = random.Random(29)
    for _ in range(300):
        at = draw.randrange(last)
        bad = bytearray(data)
        bad[at] ^= 1 << draw.randrange(8)
        with pytest.raises(JournalError) as caught:
            decode(bytes(bad), name="x")
        assert caught.value.problems[0].code == "DR4001"
        assert caught.value.problems[0].do
