"""``drctl resume``."""

from typing import Annotated

import typer

from drctl.cli.execute import Manner, leave, views_of
from drctl.cli.exit import errors_shown
from drctl.cli.output import Color, ColorOption, Format, NoInputOption, OutputOption


def resume(
    run: Annotated[str, typer.Argument(help="Run id, its beginning, or `latest`.")],
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Continues a run that was interrupted or killed; looks at every effect that may have left first.

    Example: drctl resume latest
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.reading import find_run
        from drctl.app.resuming import resume_run

        made = parts()
        folder = find_run(made, run)
        manner = Manner(output=output, color=color, no_input=no_input)
        end = asyncio.run(resume_run(made, folder, views_of(made, manner)))
        leave(end, folder, manner)
