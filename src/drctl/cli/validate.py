"""``drctl validate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import Exit, errors_shown, show_problems
from drctl.cli.output import Format, OutputOption, print_json

if TYPE_CHECKING:
    from drctl.kernel.errors import Problem


def validate(
    files: Annotated[list[Path], typer.Argument(help="Runbook files.")],
    env: Annotated[
        str | None, typer.Option("-e", "--env", help="Also check targets against this environment.")
    ] = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """
    Checks runbooks: every problem at once, and what the rules say, each with its place. Needs no
    network.

    Exits 3 when a runbook is invalid, 8 when a rule finds an error that it does not waive. Rules
    that need an environment are asked with -e only.

    Example: drctl validate runbooks/*.yaml -e prod
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.judging import plan_to_judge
        from drctl.app.runbooks import load
        from drctl.config.environment import find_environment, load_environment
        from drctl.kernel.errors import InvalidError, Problem
        from drctl.plan.findings import Finding, Waived, gates_merge
        from drctl.view.findings import finding_lines, waived_lines

        made = parts()
        environment = load_environment(find_environment(env)) if env else None
        problems: list[Problem] = []
        findings: list[Finding] = []
        waived: list[Waived] = []
        for file in files:
            try:
                loaded = load(file, made.registry, environment.targets if environment else None)
                plan = plan_to_judge(made, loaded, environment)
            except InvalidError as error:
                problems += error.problems
                continue
            findings += plan.findings
            waived += plan.waived
            if output is Format.TEXT:
                typer.echo(f"{file}: valid")
                for line in (*finding_lines(plan.findings), *waived_lines(plan.waived)):
                    typer.echo(f"  {line}")
        if output is not Format.TEXT:
            print_json(
                {
                    "version": 1,
                    "valid": not problems,
                    "problems": [_problem(problem) for problem in problems],
                    "findings": [finding.model_dump(mode="json") for finding in findings],
                    "waived": [one.model_dump(mode="json") for one in waived],
                }
            )
        elif problems:
            show_problems(problems)
        if problems:
            raise typer.Exit(Exit.INVALID)
        if gates_merge(tuple(findings)):
            raise typer.Exit(Exit.MISSED)


def _problem(problem: "Problem") -> dict[str, object]:
    from drctl.kernel.errors import Position

    at = problem.at if isinstance(problem.at, Position) else None
    return {
        "code": problem.code,
        "what": problem.what,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
        "do": problem.do,
    }
