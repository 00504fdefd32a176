"""Restoring a database to a moment (E21 to E26, E30 to E32)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Command, Script, Word
from drctl.importing.tools import (
    Aws,
    awses,
    first_change,
    kubectl,
    queries,
    replicas_of,
    sets_database,
)

_RESTORES = (
    "restore-db-instance-to-point-in-time",
    "restore-db-instance-from-db-snapshot",
    "restore-db-cluster-to-point-in-time",
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d|UTC)\s*$")
_RDS_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.rds\.amazonaws\.com")
_ENDED = re.compile(r"fail|deleted|incompatible|error|timeout", re.IGNORECASE)


def _restores(script: Script) -> Iterator[Aws]:
    return awses(script, *_RESTORES)


def _literal(script: Script, word: Word) -> tuple[str, Word]:
    """The text behind a word that is one variable, and the word that has it."""
    if len(word.expansions) == 1 and word.text in {f"${n.name}" for n in word.expansions}:
        for given in script.assignments:
            if given.name == word.expansions[0].name and given.word:
                return given.word.text, given.word
    return word.text, word


def _no_zone(script: Script) -> Iterator[Hit]:
    for call in _restores(script):
        word = call.command.word("--restore-time", "--restore-to-time")
        if word is None:
            continue
        text, where = _literal(script, word)
        if _MOMENT.search(text) and not _ZONE.search(text):
            yield Hit(
                where.at, f'"{text[:30]}" has no zone: which moment it is depends on the reader'
            )


def _no_window(script: Script) -> Iterator[Hit]:
    for call in awses(script, *(one for one in _RESTORES if one.endswith("point-in-time"))):
        asked = any(queries(o, r"RestorableTime") for o in script.before(call.command))
        if not asked and not call.command.has("--use-latest-restorable-time"):
            yield Hit(call.command.at, "does not ask which moments can be restored at all")


def _public(script: Script) -> Iterator[Hit]:
    for call in awses(script):
        if call.command.has("--publicly-accessible") and call.changes:
            what = "puts a copy of the database on a public address"
            yield Hit(call.command.flag_at("--publicly-accessible"), what)


def _defaults(script: Script) -> Iterator[Hit]:
    for call in _restores(script):
        lacks = [
            flag
            for flag in ("--vpc-security-group-ids", "--db-parameter-group-name")
            if not call.command.has(flag)
        ]
        if lacks:
            yield Hit(call.command.at, f"without {' and '.join(lacks)}: the defaults are taken")


def _one_source(script: Script) -> Iterator[Hit]:
    for call in awses(script, "restore-db-instance-to-point-in-time"):
        if not call.command.has("--source-db-instance-automated-backups-arn"):
            at = call.command.flag_at("--source-db-instance-identifier")
            yield Hit(
                at, "restores from the instance itself, which is in the region that may be lost"
            )


def _blind_wait(script: Script) -> Iterator[Hit]:
    seen: set[int] = set()
    for command in script.commands:
        for loop in command.loops:
            if loop.kind == "for" or loop.is_bounded or loop.at.line in seen:
                continue
            if any(queries(one, r"\bsleep\b") for one in script.commands if loop in one.loops):
                seen.add(loop.at.line)
                also = (
                    ""
                    if _ENDED.search(loop.text)
                    else ", not even when what it waits for has failed"
                )
                yield Hit(loop.at, f"waits without a deadline{also}")


def _unused(script: Script) -> Iterator[Hit]:
    if any(one.name in {"source", ".", "eval"} for one in script.commands):
        return  # what is read in may use it
    if first_change(script) is None:
        return
    for given in script.assignments:
        known = given.is_exported or re.match(
            r"(?:PG|AWS_|KUBE|PATH$|IFS$|LC_|LANG|_$)", given.name
        )
        if given.name and not known and given.name not in script.used and not given.is_array:
            yield Hit(given.at, f"{given.name} is set and never used: it proves nothing")


def _guessed(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        if kubectl(command) is None and command.name not in {"psql", "pg_restore"}:
            continue
        for word in command.words:
            if found := _RDS_HOST.search(word.text):
                yield Hit(word.at, f'"{found[0][:60]}" is a guess, not what RDS answered')


def _looks_at_data(command: Command) -> bool:
    return command.name in {"psql", "pg_amcheck"} or queries(
        command, r"kubectl exec .*(?:psql|python)"
    )


def _not_validated(script: Script) -> Iterator[Hit]:
    for call in _restores(script):
        after = script.after(call.command)
        for one in after:
            other = kubectl(one)
            if _looks_at_data(one):
                break
            opens = other and (
                sets_database(other) or (other.verb == "scale" and replicas_of(other))
            )
            if opens:
                yield Hit(one.at, "opens the restored database before anybody has looked into it")
                break


_RESTORE = "aws rds restore-db-instance-to-point-in-time"

RULES = (
    Rule(
        id="DR6521",
        title="A moment without a zone",
        severity="error",
        reason="RDS takes UTC. Somebody in another zone restores another hour.",
        bad=f'T="2026-01-29 10:30:00"\n{_RESTORE} --restore-time "$T"\n',
        good=f'T="2026-01-29T10:30:00Z"\n{_RESTORE} --restore-time "$T"\n',
        fix="An input whose pattern demands an offset; the gate shows it.",
        find=_no_zone,
    ),
    Rule(
        id="DR6522",
        title="The restorable window is not asked for",
        severity="error",
        reason="Logs reach S3 about every five minutes; a later moment is refused, or lost.",
        bad=f"{_RESTORE} --restore-time $T\n",
        good="aws rds describe-db-instances --query 'DBInstances[0].LatestRestorableTime'\n"
        f"{_RESTORE} --restore-time $T\n",
        fix="The draft asks aws.rds.restore_window first; the loss is computed from it.",
        find=_no_window,
    ),
    Rule(
        id="DR6523",
        title="A public copy of the database",
        severity="error",
        reason="Production data behind a public address, with nothing but a password.",
        bad=f"{_RESTORE} --publicly-accessible\n",
        good=f"{_RESTORE} --no-publicly-accessible\n",
        fix="aws.rds.restore_to_time never makes one public.",
        find=_public,
    ),
    Rule(
        id="DR6524",
        title="Restored with defaults",
        severity="error",
        reason="Default security group, parameter group, one zone, no deletion protection: the"
        " application may not reach it, and settings are lost.",
        bad=f"{_RESTORE} --restore-time $T\n",
        good=f"{_RESTORE} --vpc-security-group-ids $SG --db-parameter-group-name $PG\n",
        fix="aws.rds.restore_to_time copies them from the source, and compares.",
        find=_defaults,
    ),
    Rule(
        id="DR6525",
        title="Restored from what may be lost",
        severity="warning",
        reason="When the source's region is down, the call fails; copied backups have another.",
        bad=f"{_RESTORE} --source-db-instance-identifier prod\n",
        good=f"{_RESTORE} --source-db-instance-automated-backups-arn $ARN\n",
        fix="Name both ways in the environment; drctl plan says which planes a step needs.",
        find=_one_source,
    ),
    Rule(
        id="DR6526",
        title="A wait without an end",
        severity="error",
        reason="failed, deleted and incompatible-restore are waited for like creating: for ever.",
        bad='while [[ $(state) != "available" ]]; do\n  sleep 30\ndone\n',
        good="aws rds wait db-instance-available --db-instance-identifier x\n",
        fix="aws.rds.instance.wait knows the states that are an end, and has a timeout.",
        find=_blind_wait,
    ),
    Rule(
        id="DR6530",
        title="A variable that nothing uses",
        severity="warning",
        reason="It looks like evidence, and names something that was never touched.",
        bad='BACKUP_ID="backup-1"\nkubectl apply -f restore.yaml\n',
        good='BACKUP_ID="backup-1"\nkubectl apply -f "$BACKUP_ID.yaml"\n',
        fix="Left out of the draft. What was used is in the run's record.",
        find=_unused,
    ),
    Rule(
        id="DR6531",
        title="A guessed address of a database",
        severity="error",
        reason="RDS chooses part of the name; a guess leads nowhere, or to another's database.",
        bad="kubectl set env deployment/app DB_HOST=x.region.rds.amazonaws.com\n",
        good='kubectl set env deployment/app DB_HOST="$ENDPOINT"\n',
        fix="The address is the output of the step that restored.",
        find=_guessed,
    ),
    Rule(
        id="DR6532",
        title="Opened before anybody has looked into it",
        severity="error",
        reason="A restore to the wrong moment is seen by customers first.",
        bad=f"{_RESTORE} --restore-time $T\nkubectl scale deployment/app --replicas=3\n",
        good=f"{_RESTORE} --restore-time $T\npsql -f checks.sql\n"
        "kubectl scale deployment/app --replicas=3\n",
        fix="The draft asserts writes and constraints before the application gets the address.",
        find=_not_validated,
    ),
)
