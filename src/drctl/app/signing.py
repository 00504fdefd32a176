"""Use case: keys, and answers signed with them, here or on a machine that has nothing else."""

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from drctl.app.compose import Parts
from drctl.engine.approval import question, seen_of
from drctl.engine.state import State
from drctl.engine.statement import (
    Statement,
    as_time,
    digest_of,
    read_question,
    write_answer,
)
from drctl.kernel.errors import InvalidError, Problem, RefusedError
from drctl.kernel.secret import SecretRef
from drctl.kernel.signature import fingerprint, new_key, public_of
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan

COUNTS_FOR = timedelta(minutes=15)
"""As long as a plan: an answer to it has no reason to live longer."""


def make_key(path: Path) -> str:
    """
    Makes a key; gives the public half, for the environment file.

    Raises:
        RefusedError: There is a file of that name, or none can be made there.

    Changes:
        Writes *path*, which only its owner may read.
    """
    pair = new_key()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pair.private.encode() + b"\n")
            file.flush()
            os.fsync(handle)
    except OSError as error:
        what = f"no key was written to {path}"
        do = "a key is never overwritten: name another file"
        raise RefusedError(
            (Problem(code="DR3307", what=what, why=error.strerror, do=do),)
        ) from error
    return pair.public


def signed_here(
    parts: Parts,
    plan: Plan,
    state: State,
    gate: str,
    answer: Literal["approve", "deny"],
    reason: str,
    key: Path,
) -> str:
    """
    Signs an answer where the run's folder is.

    Raises:
        CredentialsError: The key's file cannot be read, or may be read by others.
        RefusedError: It holds no key, or one that the plan does not know.
    """
    private = _private(parts, key)
    public = public_of(private)
    known = {one: name for name, person in plan.people.items() for one in person.keys}
    if public not in known:
        raise _unknown_key(key, public)
    return write_answer(
        Statement(
            digest=plan.digest,
            run=state.start.run_id if state.start else "",
            gate=gate,
            environment=plan.environment,
            person=known[public],
            answer=answer,
            reason=reason,
            seen=seen_of(plan, state, gate),
            expires=as_time(parts.clock.now().wall + COUNTS_FOR),
            nonce=secrets.token_hex(16),
            how="here",
        ),
        private,
    )


def asked(plan: Plan, state: State, gate: str) -> dict[str, Any]:
    """The question of an open gate."""
    return dict(question(plan, state, gate))


def read_asked(line: str) -> dict[str, Any]:
    """
    Reads a question that came from elsewhere. Nothing in it can be checked here: it is shown, and
    a signature covers all of it, so that the run refuses an answer to any other.

    Raises:
        InvalidError: It is not a whole question.
    """
    try:
        asked_ = read_question(line)
        texts = [asked_[name] for name in ("digest", "run", "gate", "environment")]
        people = asked_["people"]
    except (ValueError, KeyError) as error:
        raise _no_question(str(error)) from error
    if not all(isinstance(text, str) for text in texts) or not isinstance(people, dict):
        raise _no_question("a part of it is of another kind")
    return asked_


def signed_elsewhere(
    parts: Parts,
    asked_: Mapping[str, Any],
    answer: Literal["approve", "deny"],
    reason: str,
    key: Path,
    counts_for: timedelta = COUNTS_FOR,
) -> str:
    """
    Signs an answer to a question that came from elsewhere. Needs no network and no run.

    Raises:
        CredentialsError: The key's file cannot be read, or may be read by others.
        RefusedError: It holds no key, or the question does not ask its owner.
    """
    private = _private(parts, key)
    public = public_of(private)
    name = fingerprint(public)
    people = [
        str(person)
        for person, keys in asked_["people"].items()
        if isinstance(keys, list) and name in keys
    ]
    if len(people) != 1:
        raise _unknown_key(key, public)
    return write_answer(
        Statement(
            digest=asked_["digest"],
            run=asked_["run"],
            gate=asked_["gate"],
            environment=asked_["environment"],
            person=people[0],
            answer=answer,
            reason=reason,
            seen=digest_of({**asked_, "given": []}),
            expires=as_time(parts.clock.now().wall + counts_for),
            nonce=secrets.token_hex(16),
            how="offline",
        ),
        private,
    )


def _private(parts: Parts, key: Path) -> str:
    text = parts.secrets.resolve(SecretRef(f"file:{key}")).reveal()
    try:
        public_of(text)
    except ValueError as error:
        problem = Problem(
            code="DR3302", what=f"{key} holds no private key of drctl", do="drctl key new"
        )
        raise RefusedError((problem,)) from error
    return text


def _unknown_key(key: Path, public: str) -> RefusedError:
    return RefusedError(
        (
            Problem(
                code="DR3302",
                what=f"the key in {key} is not one of those asked",
                why=f"its fingerprint is {fingerprint(public)}",
                now="nothing was signed",
                do="enrol it in the environment file, then plan again: a plan keeps the keys that"
                " were enrolled when it was made",
            ),
        )
    )


def _no_question(why: str) -> InvalidError:
    problem = Problem(
        code="DR3303",
        what="this is not a whole question of drctl",
        why=sanitize(why),
        do="copy the whole line that drctl approval request printed",
    )
    return InvalidError((problem,))
