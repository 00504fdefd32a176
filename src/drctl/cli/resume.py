"""``drctl resume``."""

from drctl.cli.complete import RunArgument
from drctl.cli.execute import Manner, leave, views_of
from drctl.cli.exit import errors_shown
from drctl.cli.orders import give
from drctl.cli.output import Color, ColorOption, Format, NoInputOption, OutputOption


def resume(
    run: RunArgument,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Continues a run that was interrupted or killed; looks at every effect that may have left first.

    A live run that was held by `drctl pause` is let go on where it runs.

    Example: drctl resume latest
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.reading import find_run, fold_run
        from drctl.app.resuming import resume_run

        made = parts()
        folder = find_run(made, run)
        state, _chain = fold_run(folder)
        if folder.is_held() and state.held is not None:
            give("continue", run, output=output)
            return
        manner = Manner(output=output, color=color, no_input=no_input)
        end = asyncio.run(resume_run(made, folder, views_of(made, manner)))
        leave(end, folder, manner)
