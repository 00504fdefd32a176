"""The commands around keys and answers, and the prompt at a gate."""

import os
import pty
import sys
import time

import pytest
from integrity_model import draws, gated, open_now, some_people
from typer.testing import CliRunner

from drctl.cli.main import app
from drctl.cli.prompt import TerminalGates
from drctl.engine import events as e
from drctl.engine.approval import question
from drctl.engine.statement import digest_of, read_answer, write_question
from drctl.journal.folder import Folder

RUN = CliRunner()


def test_a_key_is_made_once_and_its_line_can_be_enrolled(tmp_path):
    key = tmp_path / "alice.key"
    made = RUN.invoke(app, ["key", "new", "--out", str(key)])
    assert made.exit_code == 0
    assert 'keys: ["ed25519:' in made.stdout
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in made.output
    again = RUN.invoke(app, ["key", "new", "--out", str(key)])
    assert again.exit_code == 5
    assert "DR3307" in again.output


@pytest.fixture
def asked(tmp_path):
    people = some_people(draws(1))
    plan = gated(people)
    who = min(people.keys)
    key = tmp_path / "k"
    key.write_text(people.keys[who][0].private)
    key.chmod(0o600)
    return question(plan, open_now(plan), "go"), who, key


def sign(line, key, *more):
    words = ["approval", "sign", line, "--key", str(key), "--reason", "gone", *more]
    return RUN.invoke(app, words)


def test_what_is_signed_is_shown_first_and_confirmed(asked):
    shown, who, key = asked
    line = write_question(shown)
    told = sign(line, key)
    assert told.exit_code == 5
    assert "nothing was signed" in told.output
    assert "behind this gate 1 things are changed" in told.output
    assert shown["digest"] in told.output
    told = sign(line, key, "--confirm", "go", "--deny")
    assert told.exit_code == 0
    said = read_answer(told.stdout.strip().splitlines()[-1]).statement
    assert (said.person, said.answer, said.how, said.reason) == (who, "deny", "offline", "gone")
    assert said.seen == digest_of(shown)


@pytest.mark.parametrize("line", ["", "x", "drctl-question-1.e30", "drctl-question-1.!!"])
def test_a_line_that_is_no_question_is_not_signed(line, asked):
    told = sign(line, asked[2], "--confirm", "go")
    assert told.exit_code == 3
    assert "DR3303" in told.output


def test_a_key_that_is_not_asked_signs_nothing(asked, tmp_path):
    other = tmp_path / "other"
    RUN.invoke(app, ["key", "new", "--out", str(other)])
    told = sign(write_question(asked[0]), other, "--confirm", "go")
    assert told.exit_code == 5
    assert "DR3302" in told.output


@pytest.fixture
def terminal(monkeypatch):
    """A terminal whose other end the test holds."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


def _inbox(tmp_path):
    folder = Folder(path=tmp_path / "r1")
    folder.inbox.mkdir(parents=True)
    return folder


class _At:
    event = e.GateOpened(
        step="go", gate="go", title="Go", show=(), approvers=(), quorum=1, expires_s=9.0
    )


def _until(true, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_a_gate_that_is_not_asked_any_more_lets_go_of_the_terminal(tmp_path, terminal):
    """What is typed after it expired is not for it: it may be for the next gate, or the shell."""
    from dataclasses import replace

    plan = gated(some_people(draws(1))).model_copy(update={"people": {}})
    folder, state = _inbox(tmp_path), open_now(plan)
    prompt = TerminalGates()
    prompt.opened(plan, folder)
    prompt.seen(_At(), state)
    prompt.seen(type("x", (), {"event": e.GateExpired(step="go")})(), replace(state, gates={}))
    time.sleep(0.5)
    os.write(terminal, b"yes\n")
    time.sleep(0.5)
    assert list(folder.inbox.iterdir()) == []
    # And one that is asked is answered, by the very line that the old one left alone.
    prompt.seen(_At(), state)
    assert _until(lambda: list(folder.inbox.glob("*.json")))
    prompt.closed()


def test_where_people_are_enrolled_the_terminal_takes_no_yes(tmp_path, terminal, capsys):
    plan = gated(some_people(draws(1)))
    folder, state = _inbox(tmp_path), open_now(plan)
    prompt = TerminalGates()
    prompt.opened(plan, folder)
    prompt.seen(_At(), state)
    os.write(terminal, b"yes\n")
    time.sleep(0.5)
    assert list(folder.inbox.iterdir()) == []
    assert "drctl approve r1 go --key FILE" in capsys.readouterr().err
