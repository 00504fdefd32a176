"""``drctl validate``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.beside import keep_apart
from drctl.cli.brief import brief
from drctl.cli.complete import environments
from drctl.cli.exit import Exit, errors_shown, show_problems
from drctl.cli.output import print_json, print_line
from drctl.cli.reports import CiFormat, CiOutputOption, JunitOption, Reports, SarifOption

if TYPE_CHECKING:
    from drctl.app.compose import Parts
    from drctl.config.environment import Environment
    from drctl.kernel.errors import Problem
    from drctl.plan.findings import Finding, Waived
    from drctl.view.ci.remark import Remark


def validate(
    files: Annotated[list[Path], typer.Argument(help="Runbook files.")],
    env: Annotated[
        str | None,
        typer.Option(
            "-e",
            "--env",
            help="Also check targets against this environment.",
            autocompletion=environments,
        ),
    ] = None,
    output: CiOutputOption = CiFormat.TEXT,
    junit: JunitOption = None,
    sarif: SarifOption = None,
) -> None:
    """
    Checks runbooks: every problem at once, and what the rules say, each with its place. Needs no
    network.

    Exits 3 when a runbook is invalid, 8 when a rule finds an error that it does not waive. Rules
    that need an environment are asked with -e only. Counts comments marked TODO, which are no
    problem.

    Example: drctl validate runbooks/*.yaml -e prod
    """
    reports = Reports(command="validate", output=output, junit=junit, sarif=sarif)
    names = [str(file) for file in files]
    keep_apart(names, {"--junit": junit, "--sarif": sarif})
    with brief(), errors_shown(), reports.of_errors(names):
        from drctl.app.compose import parts
        from drctl.config.environment import find_environment, load_environment
        from drctl.plan.findings import gates_merge
        from drctl.view.ci.remark import of_findings, of_problems

        environment = load_environment(find_environment(env)) if env else None
        checked, made = _Checked(), parts()
        for file in files:
            lines = checked.look(file, made, environment)
            if output is CiFormat.TEXT:
                for line in lines:
                    typer.echo(line)
        said = [*of_problems(checked.problems), *of_findings(checked.findings), *checked.todo]
        reports.validation(names, said)
        if output is CiFormat.JSON:
            print_json(checked.as_json())
        elif output is CiFormat.JSONL:
            print_line(checked.as_json())
        elif checked.problems and output is CiFormat.TEXT:
            show_problems(checked.problems)
        if checked.problems:
            raise typer.Exit(Exit.INVALID)
        if gates_merge(tuple(checked.findings)):
            raise typer.Exit(Exit.MISSED)


@dataclass(slots=True)
class _Checked:
    """What all files together have."""

    problems: "list[Problem]" = field(default_factory=list)
    findings: "list[Finding]" = field(default_factory=list)
    waived: "list[Waived]" = field(default_factory=list)
    todo: "list[Remark]" = field(default_factory=list)

    def look(self, file: Path, made: "Parts", environment: "Environment | None") -> list[str]:
        """Checks one more; returns what is said of a valid one."""
        from drctl.app.judging import plan_to_judge
        from drctl.app.runbooks import load
        from drctl.kernel.errors import InvalidError
        from drctl.view.ci.remark import left_to_decide
        from drctl.view.findings import finding_lines, waived_lines

        try:
            loaded = load(file, made.registry, environment.targets if environment else None)
            plan = plan_to_judge(made, loaded, environment)
        except InvalidError as error:
            # A file that several include is read with each of them, and is wrong once.
            self.problems = list(dict.fromkeys([*self.problems, *error.problems]))
            return []
        marks = left_to_decide(file)
        self.findings += plan.findings
        self.waived += plan.waived
        self.todo += marks
        at = ", ".join(str(one.line) for one in marks)
        left = f", {len(marks)} left to decide (TODO): line {at}" if marks else ""
        more = (*finding_lines(plan.findings), *waived_lines(plan.waived))
        return [f"{file}: valid{left}", *(f"  {line}" for line in more)]

    def as_json(self) -> dict[str, object]:
        """One document of a versioned form."""
        return {
            "version": 1,
            "valid": not self.problems,
            "problems": [_problem(problem) for problem in self.problems],
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "waived": [one.model_dump(mode="json") for one in self.waived],
            "todo": [
                {"file": one.file, "line": one.line, "column": one.column, "what": one.what}
                for one in self.todo
            ],
        }


def _problem(problem: "Problem") -> dict[str, object]:
    from drctl.kernel.errors import Position

    at = problem.at if isinstance(problem.at, Position) else None
    return {
        "code": problem.code,
        "what": problem.what,
        "file": at.file if at else problem.at,
        "line": at.line if at else None,
        "column": at.column if at else None,
        "why": problem.why,
        "do": problem.do,
    }
