"""What `validate` and `plan` leave for a pull request: annotations, a step summary, files."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.beside import no_source
from drctl.cli.exit import code_of

if TYPE_CHECKING:
    from drctl.plan.model import Plan
    from drctl.view.ci.junit import Suite
    from drctl.view.ci.remark import Remark


class CiFormat(StrEnum):
    """Forms of output of the commands that a pull request runs."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    GITHUB = "github"


CiOutputOption = Annotated[
    CiFormat,
    typer.Option(
        "-o",
        "--output",
        help="text, json, jsonl (the same in a line) or github: annotations and a step summary.",
    ),
]
JunitOption = Annotated[
    Path | None,
    typer.Option(
        "--junit", callback=no_source, help="Also write JUnit XML there; for GitLab, Jenkins."
    ),
]
SarifOption = Annotated[
    Path | None,
    typer.Option(
        "--sarif", callback=no_source, help="Also write SARIF 2.1.0 there; for code scanning."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where to tell what, beside the command's own output."""

    command: str
    output: CiFormat
    junit: Path | None = None
    sarif: Path | None = None

    @contextmanager
    def of_errors(self, files: Sequence[str]) -> Iterator[None]:
        """
        Reports an error as findings in *files* before it ends the command. On GitHub that is all
        that is printed of it: its runner obeys lines on stderr as well.
        """
        from drctl.kernel.errors import DrctlError

        try:
            yield
        except DrctlError as error:
            from drctl.view.ci.remark import of_problems

            self.validation(files, of_problems(error.problems), looked=False)
            if self.output is CiFormat.GITHUB:
                raise typer.Exit(code_of(error)) from error
            raise

    def validation(
        self, files: Sequence[str], remarks: "Sequence[Remark]", *, looked: bool = True
    ) -> None:
        """Tells what was found in *files*; not *looked*: an error ended it before their turn."""
        from drctl.view.ci.junit import validation_suites
        from drctl.view.ci.remark import seen_from_root
        from drctl.view.ci.summary import validation_summary

        names = [seen_from_root(file) for file in files]
        if self.output is CiFormat.GITHUB:
            count = f"{len(names)} runbook(s), {len(remarks)} thing(s) to say"
            self._annotate(remarks, f"drctl {self.command}: {count}")
            step_summary(validation_summary(names, remarks, looked=looked))
        self._files(lambda: validation_suites(names, remarks, looked=looked), remarks)

    def plan(self, made: "Plan", file: str) -> None:
        """Tells what a plan says."""
        from drctl.view.ci.junit import plan_suite
        from drctl.view.ci.remark import of_plan, seen_from_root
        from drctl.view.ci.summary import plan_summary, verdict

        remarks = of_plan(made, file)
        if self.output is CiFormat.GITHUB:
            about = f"{made.runbook} for {made.environment}"
            self._annotate(remarks, f"drctl plan: {about}: {verdict(made)}")
            step_summary(plan_summary(made, remarks))
        self._files(lambda: [plan_suite(made, remarks, seen_from_root(file))], remarks)

    def _annotate(self, remarks: "Sequence[Remark]", last: str) -> None:
        from drctl.view.ci.github import annotations, log_line

        for line in (*annotations(remarks), log_line(last)):
            typer.echo(line)

    def _files(self, suites: "Callable[[], Sequence[Suite]]", remarks: "Sequence[Remark]") -> None:
        if self.junit is not None:
            from drctl.view.ci.junit import as_junit

            _write(self.junit, as_junit(suites()), "--junit")
        if self.sarif is not None:
            from drctl.cli.codes import CODES
            from drctl.view.ci.sarif import as_sarif
            from drctl.view.rules_page import in_short

            def about(code: str) -> str | None:
                return CODES.get(code) or in_short(code)

            _write(self.sarif, as_sarif(remarks, about).encode(), "--sarif")


def step_summary(markdown: str) -> None:
    """Appends to the job's page where GitHub says which file that is; prints it nowhere else."""
    where = os.environ.get("GITHUB_STEP_SUMMARY")
    if not where:
        return
    try:
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="GITHUB_STEP_SUMMARY") from error


def _write(path: Path, data: bytes, option: str) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
