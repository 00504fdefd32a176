"""I17: a signed answer is one line of text, and only that line. What is read never crashes."""

import base64
import contextlib
import string
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integrity_model import EPOCH, KEYS, draws, gated, open_now, some_people, statement
from results import is_full

from drctl.engine import events as e
from drctl.engine.approval import heard
from drctl.engine.ports import Answer
from drctl.engine.statement import (
    LONGEST,
    Statement,
    as_time,
    read_answer,
    read_question,
    write_answer,
    write_question,
)
from drctl.kernel.clock import Instant
from drctl.kernel.signature import check_public, fingerprint, is_signed, public_of, sign

MANY = settings(
    max_examples=5_000 if is_full() else 500,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
NOW = Instant(wall=EPOCH, boot_s=0.0, boot_id="b")
PEOPLE = some_people(draws(0))
PLAN = gated(PEOPLE)


STATE = open_now(PLAN)
WHO = min(PEOPLE.keys)
STATEMENT = statement(PLAN, STATE, WHO)
LINE = write_answer(STATEMENT, PEOPLE.keys[WHO][0].private)


def opens(line: str) -> bool:
    said = Answer(gate="go", answer="approve", by="x", via="test", statement=line)
    return isinstance(heard(PLAN, STATE, said, NOW), e.GateAnswered)


def test_the_line_itself_opens_the_gate():
    assert opens(LINE)
    assert opens(f"  {LINE}\n"), "what a clipboard adds at the ends is no change"


@MANY
@given(st.text(max_size=400) | st.text(alphabet=string.printable).map(lambda t: LINE[:20] + t))
def test_what_anybody_sends_is_read_or_refused(text):
    for read in (read_answer, read_question, check_public, public_of):
        with contextlib.suppress(ValueError):
            read(text)
    assert not opens(text) or text.strip() == LINE


@MANY
@given(
    st.integers(0, len(LINE) - 1),
    st.sampled_from(["flip", "drop", "double", "swap", "insert"]),
    st.sampled_from(sorted(string.ascii_letters + string.digits + "-_=.+/ \n\x00é")),
)
def test_a_line_that_was_changed_anywhere_opens_nothing(at, how, letter):
    changed = {
        "flip": LINE[:at] + letter + LINE[at + 1 :],
        "drop": LINE[:at] + LINE[at + 1 :],
        "double": LINE[:at] + LINE[at] + LINE[at:],
        "swap": LINE[:at] + LINE[at : at + 2][::-1] + LINE[at + 2 :],
        "insert": LINE[:at] + letter + LINE[at:],
    }[how]
    assert changed.strip() == LINE or not opens(changed)


@pytest.mark.parametrize("field", list(Statement.__slots__))
def test_every_field_is_under_the_signature(field):
    """The signature of one statement, under another that differs in one field."""
    signature = LINE.rsplit(".", 1)[1]
    values = {
        "answer": "deny", "how": "offline", "expires": as_time(EPOCH.replace(hour=2)),
        "digest": "0" * 64, "seen": "0" * 64, "nonce": "1" * 32,
    }  # fmt: skip
    other = replace(STATEMENT, **{field: values.get(field, "other")})
    line = write_answer(other, KEYS[0].private).rsplit(".", 1)[0] + "." + signature
    assert not opens(line)


def test_a_statement_is_no_longer_than_a_chat_takes():
    assert len(LINE) < 1000
    assert "\n" not in LINE
    with pytest.raises(ValueError, match="begins with"):
        read_answer("drctl-answer-1." + "A" * LONGEST)


def test_a_question_keeps_its_words():
    asked = {"digest": "d", "show": ["a", "é \u202e"], "n": 1}
    assert asked == read_question(write_question(asked))


def test_a_signature_for_anything_else_is_none_of_ours():
    key = KEYS[0]
    body = LINE.split(".")[1]
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    assert not is_signed(key.public, b"x", sign(key.private, raw))
    assert is_signed(key.public, raw, sign(key.private, raw))
    assert fingerprint(key.public) != fingerprint(KEYS[1].public)


def test_no_other_way_of_writing_the_same_bytes_is_a_line():
    """Base64 has spare bits at the end of a text: two texts, one value, one of them is refused."""
    head, body, signature = LINE.split(".")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    spare = alphabet[alphabet.index(signature[-1]) ^ 1]
    pad = "=" * (-len(signature) % 4)
    other = signature[:-1] + spare
    assert base64.urlsafe_b64decode(other + pad) == base64.urlsafe_b64decode(signature + pad)
    with pytest.raises(ValueError, match="another one"):
        read_answer(f"{head}.{body}.{other}")
