"""Answers come whole, once, and nothing else that lies there does harm."""

import json
import os
import stat
from dataclasses import asdict

import pytest

from drctl.engine.ports import Answer, Order
from drctl.journal.inbox import FolderInbox, drop

YES = Answer(gate="go", answer="approve", by="alice", via="test")


def test_answers_are_taken_in_order_and_once(tmp_path):
    drop(tmp_path, YES)
    drop(tmp_path, Answer(gate="go", answer="deny", by="bob", via="test", reason="no"))
    assert ["approve", "deny"] == [answer.answer for answer in FolderInbox(tmp_path).take()]
    assert [] == FolderInbox(tmp_path).take()
    assert [] == list(tmp_path.iterdir())


def test_an_answer_may_be_read_by_its_owner_only_and_appears_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "rename", lambda *_args, **_more: None)
    drop(tmp_path, YES)
    assert [] == FolderInbox(tmp_path).take(), "not yet moved to its name"
    assert [0o600] == [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]


GARBAGE = {
    "empty": b"",
    "half": json.dumps(asdict(YES)).encode()[:-3],
    "no object": b"[1]",
    "deep": b"[" * 60_000,
    "not utf-8": b"\xff\xfe",
    "maybe": json.dumps(asdict(YES) | {"answer": "maybe"}).encode(),
    "a list for a gate": json.dumps(asdict(YES) | {"gate": ["go"]}).encode(),
    "a number for a person": json.dumps(asdict(YES) | {"by": 1}).encode(),
    "no reason": json.dumps(asdict(YES) | {"reason": None}).encode(),
    "another key": json.dumps(asdict(YES) | {"quorum": 1}).encode(),
    "too long": json.dumps(asdict(YES) | {"reason": "x" * 70_000}).encode(),
}


STOP = Order(order="cancel", by="alice", via="test", reason="false alarm")
GARBAGE |= {
    "an order that there is not": json.dumps(asdict(STOP) | {"order": "explode"}).encode(),
    "an order and an answer": json.dumps(asdict(STOP) | asdict(YES)).encode(),
    "an order by a number": json.dumps(asdict(STOP) | {"by": 7}).encode(),
    "an order by nobody": b'{"order": "cancel"}',
    "a list of orders": json.dumps([asdict(STOP)]).encode(),
    "not a number": b'{"order": NaN}',
}


def test_answers_and_orders_share_the_box(tmp_path):
    assert not FolderInbox(tmp_path).has_any()
    drop(tmp_path, STOP)
    drop(tmp_path, YES)
    assert FolderInbox(tmp_path).has_any()
    assert [STOP, YES] == FolderInbox(tmp_path).take()
    assert not FolderInbox(tmp_path).has_any()
    assert not FolderInbox(tmp_path / "nowhere").has_any()


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_answer_is_removed_and_passed_over(tmp_path, name):
    (tmp_path / "000000-a.json").write_bytes(GARBAGE[name])
    drop(tmp_path, YES)
    assert [YES] == FolderInbox(tmp_path).take()
    assert [] == list(tmp_path.iterdir())


def test_links_pipes_and_folders_are_neither_followed_nor_waited_for(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps(asdict(YES)))
    box = tmp_path / "inbox"
    box.mkdir()
    (box / "1.json").symlink_to(elsewhere)
    os.mkfifo(box / "2.json")
    (box / "3.json").mkdir()
    assert [] == FolderInbox(box).take()
    assert elsewhere.exists()
    drop(box, YES)
    assert [YES] == FolderInbox(box).take()


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner needs root to make")
def test_a_file_of_somebody_else_is_no_answer(tmp_path):
    drop(tmp_path, YES)
    os.chown(next(tmp_path.iterdir()), 12345, 12345)
    assert [] == FolderInbox(tmp_path).take()


def test_a_box_that_is_gone_is_empty(tmp_path):
    assert [] == FolderInbox(tmp_path / "nowhere").take()
