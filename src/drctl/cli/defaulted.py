"""A command that has commands of its own: ``drctl plan RUNBOOK`` beside ``drctl plan diff``."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

DEFAULT = "(default)"
"""The name under which the command is registered that is meant when no other one is named."""


class _Context(typer.Context):
    """Of the default command: it has no name of its own in usage lines."""

    @property
    def command_path(self) -> str:
        return super().command_path.removesuffix(DEFAULT).rstrip()


class DefaultCommand(TyperCommand):
    """The command that is meant when the first word names no other."""

    context_class = _Context

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The other commands, since this command's help is the help of all."""
        others = ctx.parent.command
        if isinstance(others, Defaulted):
            others.format_commands(ctx.parent, formatter)


class Defaulted(TyperGroup):
    """A group whose command `DEFAULT` takes every line that names no other one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.default = self.commands.pop(DEFAULT)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Also ``--help`` and no word at all are the default's to answer.
        nothing = [] if ctx.resilient_parsing else [DEFAULT]
        first = args[:1] or nothing  # a shell that asks what may come first is answered below
        ctx._protected_args, ctx.args = first, args[1:]  # noqa: SLF001 (as TyperGroup does)
        return list(ctx.args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, Any]:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return DEFAULT, self.default, [word for word in args if word != DEFAULT]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        made = self.default.make_context(DEFAULT, [], parent=ctx, resilient_parsing=True)
        with made as inner:
            others = super().shell_complete(ctx, incomplete)
            first = [one for one in self.default.params if one.param_type_name == "argument"][:1]
            own = self.default.shell_complete(inner, incomplete)
            own += [found for one in first for found in one.shell_complete(inner, incomplete)]
        return list({one.value: one for one in (*others, *own)}.values())
