"""``drctl runbook import``: drafts out of shell scripts, and what the scripts get wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drctl.cli.exit import errors_shown
from drctl.cli.output import Format, OutputOption, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.app.importing import Imported
    from drctl.importing.rules import Finding


def import_script(
    file: Annotated[Path, typer.Argument(help="A shell script, or Markdown with shell blocks.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new file; a folder when there are several scripts."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Of Markdown, only the script of this name.")
    ] = None,
    findings_only: Annotated[
        bool, typer.Option("--findings-only", help="No draft; only what the script gets wrong.")
    ] = False,
    rto: Annotated[str | None, typer.Option("--rto", help="For the draft, as in 15m.")] = None,
    rpo: Annotated[str | None, typer.Option("--rpo", help="For the draft, as in 5m.")] = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """
    Turns a script into a draft runbook, and says what the script gets wrong. Runs nothing of it.

    The draft goes to stdout or --out, the report to stderr. Every line of the script is mapped to
    an action, left as a shell step marked REVIEW, or named as dropped. Secrets that it recognises
    are never copied; review the draft for others before you share it.

    Example: drctl runbook import regional-failover.sh > draft.yaml
    """
    with errors_shown():
        from drctl.actions.registry import installed
        from drctl.app.importing import import_file

        if (rto is None) != (rpo is None):
            message = "--rto and --rpo belong together"
            raise typer.BadParameter(message)
        aims = {"rto": rto, "rpo": rpo} if rto and rpo else None
        found = _chosen(import_file(file, installed(), objectives=aims), only, file)
        written = {} if findings_only or out is None else _write(found, out)
        if output is not Format.TEXT:
            print_json(_document(found, written, with_drafts=not findings_only and out is None))
            return
        if not findings_only and out is None:
            typer.echo("---\n".join(one.draft for one in found if one.draft), nl=False)
        for one in found:
            _report(one, written.get(one.name), to_stderr=not findings_only)


def _chosen(
    found: "Sequence[Imported]", only: list[str] | None, file: Path
) -> "Sequence[Imported]":
    if not only:
        return found
    from drctl.kernel.errors import InvalidError, Problem
    from drctl.kernel.text import did_you_mean

    names = {one.script.name: one for one in found} | {one.name: one for one in found}
    for name in only:
        if name not in names:
            what = f'{file} has no script "{name}"{did_you_mean(name, names)}'
            do = f"one of {', '.join(one.script.name for one in found)}"
            raise InvalidError((Problem(code="DR1097", what=what, do=do),))
    return list({one.name: one for one in (names[name] for name in only)}.values())


def _write(found: "Sequence[Imported]", out: Path) -> dict[str, Path]:
    """Writes each draft into a new file; one that exists is never touched."""
    drafts = [one for one in found if one.draft]
    is_folder = out.is_dir() or len(drafts) > 1
    if is_folder:
        _refuse_unless(out.is_dir() or not out.exists(), f"{out} is no folder")
    paths = {one.name: out / f"{one.name}.yaml" if is_folder else out for one in drafts}
    for path in paths.values():
        _refuse_unless(not path.exists(), f"{path} exists")
    try:
        if is_folder:
            out.mkdir(exist_ok=True)
        for one in drafts:
            with paths[one.name].open("x", encoding="utf-8") as file:
                file.write(one.draft)
    except OSError as error:
        _refuse_unless(False, f"{error.filename} cannot be written: {error.strerror}")  # noqa: FBT003
    return paths


def _refuse_unless(holds: bool, what: str) -> None:
    from drctl.kernel.errors import InvalidError, Problem

    if not holds:
        do = "give --out a name that is not there yet"
        raise InvalidError((Problem(code="DR1098", what=what, do=do),))


def _report(one: "Imported", path: Path | None, *, to_stderr: bool) -> None:
    from drctl.kernel.text import sanitize

    def say(text: str) -> None:
        typer.echo(sanitize(text, keep_lines=True), err=to_stderr)

    first = one.script.lines[0][0]
    say(f"\n{one.script.name}  {one.script.file}:{first}")
    say(f"  {one.account.line}")
    for line in one.account.lines:
        if line.fate == "review":
            say(f"    line {line.number}: {', '.join(line.steps) or 'none'}: {line.why}")
    if path:
        say(f"  draft {path}")
    elif not one.draft:
        is_script = one.script.language == "shell"
        say(f"  no draft: {'nothing in it does anything' if is_script else 'it is no script'}")
    errors = sum(found.severity == "error" for found in one.findings)
    say(f"  {len(one.findings)} findings, {errors} of them errors")
    for found in one.findings:
        say(f"  {found.at}  {found.severity} {found.id} ({found.source})")
        say(f"      {found.what}")
        say(f"      do   {found.fix}")
    for secret in one.script.secrets:
        say(f"  {secret.at}  {secret.kind}: not copied, ${secret.name} in its place; rotate it")
    for problem in one.problems:
        say(f"  the draft is not valid yet: {problem.at} {problem.code} {problem.what}")
    if one.draft and not one.problems:
        say("  the draft is a valid runbook; what is marked REVIEW is a person's, and so is what")
        say("  the rules find in it: drctl validate")


def _document(
    found: "Sequence[Imported]", written: dict[str, Path], *, with_drafts: bool
) -> dict[str, Any]:
    return {
        "version": 1,
        "scripts": [
            {
                "name": one.script.name,
                "file": one.script.file,
                "line": one.script.lines[0][0],
                "runbook": one.name,
                "out": str(written[one.name]) if one.name in written else None,
                **({"draft": one.draft} if with_drafts else {}),
                "coverage": {
                    "lines": len(one.account.lines),
                    "mapped": one.account.count("mapped"),
                    "review": one.account.count("review"),
                    "dropped": one.account.count("dropped"),
                },
                "lines": [
                    {"line": n.number, "fate": n.fate, "why": n.why, "steps": list(n.steps)}
                    for n in one.account.lines
                ],
                "findings": [_finding(found) for found in one.findings],
                "secrets": [
                    {"line": s.at.line, "column": s.at.column, "kind": s.kind, "reference": s.name}
                    for s in one.script.secrets
                ],
                "problems": [
                    {"code": p.code, "what": p.what, "at": str(p.at) if p.at else None}
                    for p in one.problems
                ],
            }
            for one in found
        ],
    }


def _finding(one: "Finding") -> dict[str, Any]:
    return {
        "id": one.id,
        "severity": one.severity,
        "source": one.source,
        "file": one.at.file,
        "line": one.at.line,
        "column": one.at.column,
        "what": one.what,
        "why": one.why,
        "fix": one.fix,
    }


def explained(code: str) -> str | None:
    """What ``drctl explain`` says of a rule over scripts."""
    from drctl.importing.rules import RULES

    rule = RULES.get(code)
    if rule is None:
        return None

    def indented(text: str) -> str:
        return "\n".join(f"    {line}" for line in text.rstrip("\n").split("\n"))

    return (
        f"{rule.id}: {rule.title} ({rule.severity}, {rule.source} of the written plan)\n"
        f"{rule.reason}\n\n  found in\n{indented(rule.bad)}\n\n  not in\n{indented(rule.good)}\n\n"
        f"  a draft: {rule.fix}"
    )
