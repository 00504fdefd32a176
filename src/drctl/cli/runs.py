"""``drctl runs``: what was run, and whether its record can be trusted."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import errors_shown
from drctl.cli.output import Color, ColorOption, Format, OutputOption, console, print_json

if TYPE_CHECKING:
    from drctl.journal.folder import Folder

app = typer.Typer(help="Runs: list, show, verify.", no_args_is_help=True)
RunArgument = Annotated[str, typer.Argument(help="Run id, its beginning, or `latest`.")]


@app.command("list")
def list_runs(output: OutputOption = Format.TEXT, color: ColorOption = Color.AUTO) -> None:
    """
    Lists runs, newest first.

    Example: drctl runs list -o json
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.journal.folder import all_folders

        rows = [_summary(folder) for folder in all_folders(parts().runs)]
        if output is not Format.TEXT:
            print_json({"version": 1, "runs": rows})
            return
        if not rows:
            typer.echo("no runs yet", err=True)
            return
        from drctl.view.table import show_table

        columns = ("RUN", "STATUS", "RUNBOOK", "ENV", "RTA", "RPA", "BY")
        keys = ("run", "status", "runbook", "environment", "rta", "rpa", "by")
        show_table(console(color), columns, [[row[key] for key in keys] for row in rows])


def _summary(folder: "Folder") -> dict[str, object]:
    from drctl.app.reading import fold_run
    from drctl.kernel.duration import format_duration
    from drctl.kernel.errors import JournalError

    blank = "not measured"
    try:
        state, chain = fold_run(folder)
    except JournalError as error:
        return {
            "run": folder.run_id, "status": f"unreadable ({error.problems[0].code})",
            "runbook": "?",
            "environment": "?", "rta": blank, "rpa": blank, "by": "?",
        }  # fmt: skip
    loss_s = state.loss.bound_s if state.loss else None
    start = state.start
    doubt = "" if state.restored_is_certain else " (not certain)"
    return {
        "run": folder.run_id,
        "status": folder.standing(chain),
        "runbook": start.runbook if start else "?",
        "environment": start.environment if start else "?",
        "world": start.world if start else "?",
        "rta": blank if state.restored_s is None else format_duration(state.restored_s) + doubt,
        "rta_s": state.restored_s,
        "rta_is_certain": state.restored_is_certain,
        "rpa": blank if loss_s is None else f"at most {format_duration(loss_s)}",
        "loss_bound_s": loss_s,
        "by": start.operator if start else "?",
    }


@app.command()
def show(run: RunArgument, output: OutputOption = Format.TEXT) -> None:
    """
    Shows a run from its journal: every event, and where each step stands.

    Example: drctl runs show latest
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.reading import find_run, fold_run
        from drctl.engine.state import initial
        from drctl.journal.chain import as_body
        from drctl.view.replay import replay

        folder = find_run(parts(), run)
        state, chain = fold_run(folder)
        summary = _summary(folder)
        if output is Format.JSONL:
            for record in chain.records:
                print_json(as_body(record))
            return
        if output is Format.JSON:
            steps = {
                name: {"status": step.status, "attempts": step.attempt, "outputs": step.outputs,
                       "error": step.error, "why": step.why}
                for name, step in state.steps.items()
            }  # fmt: skip
            print_json({"version": 1, **summary, "steps": steps})
            return
        plan = folder.plan()
        replay(plan, initial(plan), chain.records, folder.run_id, typer.echo)
        typer.echo("")
        typer.echo(f"run {folder.run_id}: {summary['status']}")
        typer.echo(f"  RTA {summary['rta']}, RPA {summary['rpa']}")
        if chain.torn_bytes:
            typer.echo(f"  the last line was torn by a crash ({chain.torn_bytes} bytes dropped)")
        if summary["status"] == "interrupted":
            open_now = [name for name, step in state.steps.items() if step.status == "running"]
            typer.echo(f"  its process died with these under way: {', '.join(open_now) or 'none'}")


@app.command()
def verify(run: RunArgument, output: OutputOption = Format.TEXT) -> None:
    """
    Checks that the record of a run is what was written. Exits 9 when it is not.

    Example: drctl runs verify latest
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.reading import find_run, read_run

        folder = find_run(parts(), run)
        _plan, chain = read_run(folder)
        if output is not Format.TEXT:
            print_json(
                {"version": 1, "run": folder.run_id, "verifies": True, "events": len(chain.records),
                 "head": chain.head, "torn_bytes": chain.torn_bytes}
            )  # fmt: skip
            return
        torn = f", a torn last line of {chain.torn_bytes} bytes" if chain.torn_bytes else ""
        typer.echo(
            f"{folder.run_id}: {len(chain.records)} events verify, head {chain.head[:16]}{torn}"
        )
