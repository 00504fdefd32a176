"""Imports scripts: a draft, what became of each line, and what the scripts get wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from drctl.actions.registry import Registry
from drctl.importing import markdown
from drctl.importing.account import Account, Line, account_for
from drctl.importing.draft import Objectives, draft, name_of
from drctl.importing.mapping import outcomes
from drctl.importing.rules import Finding, find
from drctl.importing.script import Script
from drctl.importing.secrets import Masked
from drctl.importing.shell import MAX_BYTES, looked_at, parse
from drctl.kernel.errors import InvalidError, Position, Problem
from drctl.kernel.text import sanitize
from drctl.runbook.load import check_runbook

_MINUTES = r"[^|\n]*\|\s*(?P<length>\d{1,4})\s*(?P<unit>second|minute|hour)s?\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One script, imported."""

    script: Script
    name: str
    """Of the runbook."""
    draft: str
    """Empty when the script does nothing."""
    account: Account
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    """What ``drctl validate`` says of the draft; positions are the draft's."""


def import_file(
    file: Path, registry: Registry, *, objectives: Mapping[str, str] | None = None
) -> tuple[Imported, ...]:
    """
    Imports a script, or every shell block of a Markdown file. Runs nothing of it.

    Args:
        file: Read whole; ``.md`` and ``.markdown`` are Markdown.
        registry: The actions that exist.
        objectives: ``rto`` and ``rpo`` where the operator gives them.

    Raises:
        InvalidError: It cannot be read, is too large, is not UTF-8, or holds no shell.
    """
    text = _text(file)
    name = str(file)
    if file.suffix.lower() not in {".md", ".markdown"}:
        script = parse(text, file=name, name=file.name)
        return (_imported(script, registry, _objectives("", objectives)),)
    found = markdown.blocks(text, file=name)
    if not any(block.language in markdown.SHELLS for block in found):
        what = "no block of shell is in it: they begin with ```bash, ```sh or ```shell"
        raise InvalidError((Problem(code="DR1097", what=what, at=Position(name, 1, 1)),))
    aims = _objectives(text, objectives)
    whole = Masked(text, name).text
    return tuple(_block(block, name, whole, registry, aims) for block in found)


def _block(
    block: markdown.Block, file: str, whole: str, registry: Registry, aims: Objectives
) -> Imported:
    if block.language in markdown.SHELLS:
        script = parse(block.text, file=file, name=block.name, first_line=block.first_line)
        return _imported(replace(script, title=block.title), registry, aims)
    language = {"yml": "yaml", "py": "python"}.get(block.language, block.language)
    script = looked_at(
        block.text, file=file, name=block.name, first_line=block.first_line, language=language
    )
    is_known = language in {"yaml", "python"}
    why = f"{sanitize(language, limit=20) or 'no language'}: no script"
    why += "; its rules were applied" if is_known else "; not looked at"
    lines = tuple(
        Line(number=number, fate="dropped", why=why, steps=())
        for number, text in script.lines
        if text.strip()
    )
    return Imported(
        script=script,
        name=name_of(script),
        draft="",
        account=Account(lines=lines),
        findings=tuple(find(replace(script, document=whole))),
        problems=(),
    )


def _text(file: Path) -> str:
    start = Position(str(file), 1, 1)
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise InvalidError((Problem(code="DR1000", what=what, at=start),)) from error
    if len(content) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        raise InvalidError((Problem(code="DR1095", what=what, at=start),))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        at = Position(str(file), line, 1)
        raise InvalidError(
            (Problem(code="DR1000", what="the file is not UTF-8", at=at),)
        ) from error


def _imported(script: Script, registry: Registry, objectives: Objectives) -> Imported:
    growing, became = outcomes(script)
    account = account_for(script, became)
    findings = tuple(find(script))
    text = draft(script, growing, became, findings, account, objectives)
    name = name_of(script)
    problems: tuple[Problem, ...] = ()
    if text:
        _, problems = check_runbook(text, registry=registry, file=f"{name}.yaml")
    return Imported(
        script=script,
        name=name,
        draft=text,
        account=account,
        findings=findings,
        problems=problems,
    )


def _objectives(text: str, given: Mapping[str, str] | None) -> Objectives:
    """What the operator gives, else what a table of the document says, else what to review."""
    said = {word: _said(text, word) for word in ("rto", "rpo")}
    if given and {"rto", "rpo"} <= given.keys():
        return Objectives(rto=given["rto"], rpo=given["rpo"], source="given at the import")
    if said["rto"] and said["rpo"]:
        return Objectives(rto=said["rto"], rpo=said["rpo"], source="from the document's table")
    return Objectives(rto="15m", rpo="5m", source="")


def _said(text: str, word: str) -> str:
    found = re.search(rf"\|[^|\n]*\b{word.upper()}\b{_MINUTES}", text)
    return f"{int(found['length'])}{found['unit'][0]}" if found else ""
