"""
A person's answer to a gate as one line of text, and the question as another.

    drctl-answer-1.<the statement>.<the signature>        drctl-question-1.<what is asked>

Problem: the line goes through chat, a USB stick, a phone; it is kept by everybody on the way.
Invariant: there is exactly one line for one statement and signature. What is read is encoded again
and must give the same bytes, so nobody can turn an answer into another text that counts as well;
every field is under the signature, and a mark before it keeps a signature made for anything else
from being one of ours.
"""

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from drctl.kernel.canonical import JSON, canonical, digest
from drctl.kernel.signature import is_signed, sign

ANSWER, QUESTION = "drctl-answer-1", "drctl-question-1"
LONGEST = 16 * 1024
"""Of a line. A statement is about 600 characters, a question of a large runbook a few thousand."""
_SIGNED = b"drctl answer to a gate, version 1\n"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_HEX = {"digest": 64, "seen": 64, "nonce": 32}
_LONGEST_FIELD = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a person signs. Every field is text."""

    digest: str
    """Of the plan."""
    run: str
    gate: str
    """Id of the gate's step."""
    environment: str
    person: str
    answer: Literal["approve", "deny"]
    reason: str
    seen: str
    """Digest of the question that the signer was shown."""
    expires: str
    """RFC 3339 in UTC, to the second."""
    nonce: str
    """128 random bits: the statement counts once."""
    how: Literal["here", "offline"]
    """Whether it was signed where the run's folder is, or elsewhere, from a question."""

    @property
    def expires_at(self) -> datetime:
        """The moment from which it counts no more."""
        return datetime.strptime(self.expires, _TIME).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement that was read, and its signature, not yet checked."""

    statement: Statement
    signature: bytes

    def is_by(self, public: str) -> bool:
        """True when the holder of that key signed it."""
        return is_signed(public, _text(self.statement), self.signature)


def as_time(moment: datetime) -> str:
    """A moment as statements write it."""
    return moment.astimezone(UTC).strftime(_TIME)


def write_answer(statement: Statement, private: str) -> str:
    """
    Signs, and gives the line.

    Raises:
        ValueError: *private* is no private key, or the statement could not be read back.
    """
    line = ".".join(
        (ANSWER, _as_line(canonical(asdict(statement))), _as_line(sign(private, _text(statement))))
    )
    read_answer(line)
    return line


def read_answer(line: str) -> Signed:
    """
    Reads a line; whose signature it is was not looked at.

    Raises:
        ValueError: It is not a line as `write_answer` gives it, to the byte.
    """
    mark, *parts = _split(line, ANSWER)
    body, signature = (_as_bytes(part) for part in parts) if len(parts) == 2 else (b"", b"")  # noqa: PLR2004 (see the form above)
    raw = _document(body)
    if len(signature) != 64 or set(raw) != set(Statement.__slots__):  # noqa: PLR2004 (Ed25519)
        message = f"this is not a whole {mark} line"
        raise ValueError(message)
    for name, value in raw.items():
        if not isinstance(value, str) or len(value) > _LONGEST_FIELD:
            message = f"{name} is not a text of at most {_LONGEST_FIELD} characters"
            raise ValueError(message)
        if name in _HEX and not re.fullmatch(f"[0-9a-f]{{{_HEX[name]}}}", value):
            message = f"{name} is not {_HEX[name]} hex digits"
            raise ValueError(message)
    statement = Statement(**raw)
    if statement.answer not in {"approve", "deny"} or statement.how not in {"here", "offline"}:
        message = "it answers with a word that is none"
        raise ValueError(message)
    if as_time(statement.expires_at) != statement.expires:
        message = "its expiry is not written as statements write it"
        raise ValueError(message)
    return Signed(statement=statement, signature=signature)


def write_question(question: JSON) -> str:
    """The line that takes a question to where a key is."""
    return f"{QUESTION}.{_as_line(canonical(question))}"


def read_question(line: str) -> dict[str, Any]:
    """
    Reads a question; what it says was not checked, and is shown to whoever signs.

    Raises:
        ValueError: It is not a line as `write_question` gives it.
    """
    mark, *parts = _split(line, QUESTION)
    if len(parts) != 1:
        message = f"this is not a whole {mark} line"
        raise ValueError(message)
    return _document(_as_bytes(parts[0]))


def digest_of(question: JSON) -> str:
    """What a statement says that its signer has seen."""
    return digest(question)


def _text(statement: Statement) -> bytes:
    return _SIGNED + canonical(asdict(statement))


def _split(line: str, mark: str) -> list[str]:
    parts = line.strip().split(".")
    if parts[0] != mark or len(line) > LONGEST:
        message = f"this is not a line that begins with {mark}."
        raise ValueError(message)
    return parts


def _document(body: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(body)
        again = canonical(raw)
    except (ValueError, RecursionError) as error:
        message = "what is in it cannot be read"
        raise ValueError(message) from error
    if not isinstance(raw, dict) or again != body:
        message = "it is not written as drctl writes it"
        raise ValueError(message)
    return raw


def _as_line(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _as_bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        message = "a character is missing, or one too many"
        raise ValueError(message) from error
    if _as_line(data) != text:
        message = "a character is missing, or another one"
        raise ValueError(message)
    return data
