"""Orders to a run: ``pause``, ``cancel``, ``retry``, ``skip``, ``note``, ``force-ungraceful``."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.complete import RunArgument, StepArgument, StepOption
from drctl.cli.execute import Manner, leave, views_of
from drctl.cli.exit import errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    Format,
    NoInputOption,
    OutputOption,
    print_json,
)

if TYPE_CHECKING:
    from drctl.engine.ports import Order

WhyOption = Annotated[str, typer.Option("--reason", help="Why; goes into the record.")]


def pause(
    run: RunArgument,
    reason: Annotated[str, typer.Option("--reason", help="Shown to whoever looks.")] = "",
    output: OutputOption = Format.TEXT,
) -> None:
    """
    Holds a live run: nothing new starts, what runs finishes, the clock goes on.

    The process stays. `drctl resume RUN` lets it go on, `drctl cancel RUN` gives it up.

    Example: drctl pause latest --reason "the region is answering again, wait"
    """
    give("pause", run, reason=reason, output=output)


def cancel(
    run: RunArgument,
    reason: WhyOption,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Gives a run up: nothing new starts, what runs finishes, `finally` tells people.

    A change that has begun is never killed. What was changed stays until `drctl undo RUN`.

    Example: drctl cancel latest --reason "false alarm"
    """
    give("cancel", run, reason=reason, output=output, color=color, no_input=no_input)


def retry(
    run: RunArgument,
    step: StepArgument,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")] = "",
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Tries a failed step again, with all its attempts; looks first at one that may have happened.

    A run that has ended is taken up again, in this terminal. What cannot be told apart from done
    is never sent again: then the outcome stays unknown and both readings are shown.

    Example: drctl retry latest promote
    """
    give("retry", run, step, reason, output=output, color=color, no_input=no_input)


def skip(
    run: RunArgument,
    step: StepArgument,
    reason: WhyOption,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Passes over a step that failed, is unknown or has not run. Its outputs are then unknown.

    Gates cannot be skipped, and a fence that was skipped lets nothing be promoted.

    Example: drctl skip latest prewarm_app --reason "pods are up, looked by hand"
    """
    give("skip", run, step, reason, output=output, color=color, no_input=no_input)


def note(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="What to remember.")],
    output: OutputOption = Format.TEXT,
) -> None:
    """
    Writes a remark into the record of a run, live or ended.

    Example: drctl note latest "AWS case 1234 opened"
    """
    give("note", run, reason=text, output=output)


def force_ungraceful(
    run: RunArgument,
    reason: WhyOption,
    step: StepOption = "",
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="ENV", help="The environment's name, typed ahead."),
    ] = None,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Goes from graceful to ungraceful without starting again: no proven fence is needed any more.

    The old primary may then still take writes. Every gate before the promotion is asked again and
    says so. The bound on lost writes still holds: that is --accept-data-loss.

    Example: drctl force-ungraceful latest --reason "us-east-1 is gone" --confirm prod
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.reading import find_run
        from drctl.cli.confirm import typed_name

        plan = find_run(parts(), run).plan()
        manner = Manner(output=output, color=color, no_input=no_input)
        risk = "\nThe old primary may still take writes: both sides may accept data."
        typed_name(confirm, manner, plan.environment, risk)
    give("force", run, step, reason, output=output, color=color, no_input=no_input)


def give(
    word: str,
    run: str,
    step: str = "",
    reason: str = "",
    *,
    output: Format,
    color: Color = Color.AUTO,
    no_input: bool = True,
) -> None:
    """
    Gives an order and says what the run did with it.

    Raises:
        typer.Exit: It was refused, or the run was taken up here and has ended.
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.ordering import by_me, give_order
        from drctl.app.reading import find_run

        made = parts()
        folder = find_run(made, run)
        order = by_me(word, step=step, reason=reason)  # type: ignore[arg-type]  # one of ours
        manner = Manner(output=output, color=color, no_input=no_input)
        heard = asyncio.run(give_order(made, folder, order, views_of(made, manner)))
        if heard.end is not None:
            leave(heard.end, folder, manner)
        _say(order, folder.run_id, is_taken=heard.is_taken, output=output)


def _say(order: "Order", run: str, *, is_taken: bool, output: Format) -> None:
    if output is not Format.TEXT:
        print_json(
            {"version": 1, "run": run, "order": order.order, "step": order.step or None,
             "taken": is_taken}
        )  # fmt: skip
        return
    about = f" {order.step}" if order.step else ""
    did = "taken by" if is_taken else "left for"
    late = "" if is_taken else ", which has not looked yet"
    typer.echo(f"{order.order}{about} {did} run {run}{late}")
