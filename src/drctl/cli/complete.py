"""What the shell offers behind a command: ids of runs, ids of their steps."""

from typing import Annotated

import typer


def runs(incomplete: str) -> list[str]:
    """Ids of runs, newest first, and the word for the newest."""
    from drctl.config.places import runs_folder
    from drctl.journal.folder import all_folders

    ids = ("latest", *(folder.run_id for folder in all_folders(runs_folder())))
    return [name for name in ids if name.startswith(incomplete)]


def steps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the steps of the run that was typed before; none when there is no such run."""
    from drctl.app.compose import parts
    from drctl.app.reading import find_run
    from drctl.kernel.errors import DrctlError

    try:
        plan = find_run(parts(), str(ctx.params.get("run") or "latest")).plan()
    except DrctlError:
        return []
    return [step.id for step in plan.steps if step.id.startswith(incomplete)]


RunArgument = Annotated[
    str,
    typer.Argument(help="Run id, its beginning, or `latest`.", autocompletion=runs),
]
StepArgument = Annotated[str, typer.Argument(help="The step's id.", autocompletion=steps)]
StepOption = Annotated[
    str, typer.Option("--step", help="Only for this step.", autocompletion=steps)
]
ToOption = Annotated[
    str,
    typer.Option("--to", help="Back to before this step; default: all.", autocompletion=steps),
]


def runbooks(incomplete: str) -> list[str]:
    """Names of runbooks, and files; nothing heavy is read for it."""
    from drctl.app.runbooks import all_runbooks

    return [name for name in all_runbooks() if name.startswith(incomplete)]


def environments(incomplete: str) -> list[str]:
    """Names of environments."""
    from drctl.config.environment import environment_names

    return [name for name in environment_names() if name.startswith(incomplete)]


def scenarios(incomplete: str) -> list[str]:
    """What the shipped runbooks are for."""
    from drctl.app.authoring import shipped

    return sorted({one for one in shipped().values() if one.startswith(incomplete)})


def actions(incomplete: str) -> list[str]:
    """Names of the installed actions."""
    from drctl.actions.registry import installed

    return [name for name in installed().names if name.startswith(incomplete)]


def subjects(incomplete: str) -> list[str]:
    """What `drctl explain` knows: topics, error codes, rules."""
    from drctl.cli.codes import CODES, topics
    from drctl.importing.rules import RULES as SCRIPT_RULES
    from drctl.plan.rules.catalogue import all_rules

    known = ("rules", *topics(), *CODES, *all_rules(), *SCRIPT_RULES)
    return [name for name in dict.fromkeys(known) if name.startswith(incomplete)]


def what_runs(incomplete: str) -> list[str]:
    """Names of runbooks, and saved plans here."""
    from pathlib import Path

    return [
        *runbooks(incomplete),
        *(one.name for one in sorted(Path().glob("*.json")) if one.name.startswith(incomplete)),
    ]


RunbookArgument = Annotated[
    str,
    typer.Argument(help="A file, or a name from `drctl runbook list`.", autocompletion=runbooks),
]
