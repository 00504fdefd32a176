"""``drctl validate``."""

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.exit import Exit, errors_shown, show_problems
from drctl.cli.output import print_json
from drctl.cli.reports import CiFormat, CiOutputOption, JunitOption, Reports, SarifOption


def validate(
    files: Annotated[list[Path], typer.Argument(help="Runbook files.")],
    env: Annotated[
        str | None, typer.Option("-e", "--env", help="Also check targets against this environment.")
    ] = None,
    output: CiOutputOption = CiFormat.TEXT,
    junit: JunitOption = None,
    sarif: SarifOption = None,
) -> None:
    """
    Checks runbooks: every problem at once, with its place. Needs no network.

    Counts comments marked TODO, which are no problem.

    Example: drctl validate runbooks/*.yaml
    """
    reports = Reports(output=output, junit=junit, sarif=sarif)
    names = [str(file) for file in files]
    with errors_shown(), reports.of_errors(names):
        from drctl.actions.registry import installed
        from drctl.app.runbooks import load
        from drctl.config.environment import find_environment, load_environment
        from drctl.kernel.errors import InvalidError, Position, Problem
        from drctl.view.ci.remark import Remark, left_to_decide, of_problems

        registry = installed()
        targets = load_environment(find_environment(env)).targets if env else None
        problems: list[Problem] = []
        left: list[Remark] = []
        for file in files:
            try:
                load(file, registry, targets)
            except InvalidError as error:
                problems += error.problems
            else:
                marks = left_to_decide(file)
                left += marks
                if output is CiFormat.TEXT:
                    lines = ", ".join(str(one.line) for one in marks)
                    count = f", {len(marks)} left to decide (TODO): line {lines}" if marks else ""
                    typer.echo(f"{file}: valid{count}")
        reports.validation(names, [*of_problems(problems), *left])
        if output in {CiFormat.JSON, CiFormat.JSONL}:
            print_json(
                {
                    "version": 1,
                    "valid": not problems,
                    "problems": [
                        {
                            "code": problem.code,
                            "what": problem.what,
                            "file": at.file if isinstance(at := problem.at, Position) else None,
                            "line": at.line if isinstance(at, Position) else None,
                            "column": at.column if isinstance(at, Position) else None,
                            "do": problem.do,
                        }
                        for problem in problems
                    ],
                    "todo": [
                        {"file": one.file, "line": one.line, "column": one.column, "what": one.what}
                        for one in left
                    ],
                }
            )
        elif problems and output is CiFormat.TEXT:
            show_problems(problems)
        if problems:
            raise typer.Exit(Exit.INVALID)
