"""``drctl runbook``, ``action``, ``env``, ``explain``, ``version``: what there is."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import importing
from drctl.cli.complete import RunbookArgument, actions, environments, subjects
from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import Color, ColorOption, Format, OutputOption, console, print_json

if TYPE_CHECKING:
    from drctl.actions.registry import AnyAction

runbook_app = typer.Typer(
    help="Runbooks: list, show, draw, begin a new one, schema.", no_args_is_help=True
)
action_app = typer.Typer(help="Actions: what a step can use.", no_args_is_help=True)
env_app = typer.Typer(help="Environments: list, show.", no_args_is_help=True)


@runbook_app.command("list")
def list_runbooks(output: OutputOption = Format.TEXT) -> None:
    """Lists the runbooks of ./runbooks and the shipped ones."""
    with errors_shown():
        from drctl.app.runbooks import all_runbooks

        found = all_runbooks()
        if output is not Format.TEXT:
            print_json(
                {"version": 1, "runbooks": {name: str(path) for name, path in found.items()}}
            )
            return
        for name, path in found.items():
            typer.echo(f"{name:<28} {path}")


@runbook_app.command("show")
def show_runbook(
    name: RunbookArgument,
    source: Annotated[bool, typer.Option("--source", help="The file as it is written.")] = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows a runbook as a page for people, made from what would run; Markdown off a terminal.

    Example: drctl runbook show region-failover > region-failover.md
    """
    with errors_shown():
        from drctl.app.runbooks import find_runbook, load

        path = find_runbook(name)
        typer.echo(f"# {path}", err=True)
        if source:
            typer.echo(path.read_text(encoding="utf-8"), nl=False)
            return
        from drctl.actions.registry import installed
        from drctl.plan.inline import Room
        from drctl.view.runbook_page import runbook_page
        from drctl.view.topic import show_topic

        registry = installed()
        loaded = load(path, registry)
        if output is not Format.TEXT:
            shown = loaded.runbook.model_dump(
                mode="json", by_alias=True, exclude_none=True, exclude={"places"}
            )
            print_json({"version": 1, "file": str(path), "runbook": shown})
            return
        page = runbook_page(
            Room(scope="", source=loaded.source, registry=registry),
            path.read_text(encoding="utf-8"),
        )
        show_topic(page, console(color))


@runbook_app.command("schema")
def schema() -> None:
    """Prints the JSON Schema of runbooks with the installed actions, for editors."""
    with errors_shown():
        from drctl.actions.registry import installed
        from drctl.runbook.schema import text

        typer.echo(text(installed()), nl=False)


runbook_app.command("import")(importing.import_script)


@action_app.command("list")
def list_actions(output: OutputOption = Format.TEXT, color: ColorOption = Color.AUTO) -> None:
    """
    Lists the installed actions: what each does to the world, what doing it twice would do, and the
    planes that it cannot work without.

    Example: drctl action list
    """
    with errors_shown():
        from drctl.actions.catalogue import planes_of
        from drctl.actions.registry import installed
        from drctl.view.table import show_table

        registry = installed()
        if output is not Format.TEXT:
            print_json({"version": 1, "actions": [_described(action) for action in registry]})
            return
        rows = [
            (one.name, one.effect, one.repeat, ", ".join(planes_of(one)) or "none", one.summary)
            for one in registry
        ]
        show_table(console(color), ("ACTION", "EFFECT", "REPEAT", "PLANES", "WHAT"), rows)


def _described(action: "AnyAction") -> dict[str, object]:
    from drctl.actions.catalogue import planes_of

    return {
        "name": action.name,
        "summary": action.summary,
        "effect": action.effect,
        "repeat": action.repeat,
        "planes": planes_of(action),
        "targets": [target.model_fields["kind"].default for target in action.targets],
        "params": action.params.model_json_schema(),
        "outputs": action.outputs.model_json_schema(mode="serialization"),
    }


@action_app.command("show")
def show_action(
    name: Annotated[str, typer.Argument(help="As in `drctl action list`.", autocompletion=actions)],
) -> None:
    """Shows what an action takes, gives and does."""
    with errors_shown():
        from drctl.actions.registry import installed
        from drctl.kernel.errors import InvalidError, Problem
        from drctl.kernel.text import did_you_mean

        registry = installed()
        action = registry.get(name)
        if action is None:
            near = did_you_mean(name, registry.names)
            what = f'no action is called "{name}"{near}'
            raise InvalidError((Problem(code="DR1050", what=what, do="drctl action list"),))
        print_json(_described(action))


@env_app.command("list")
def list_environments(output: OutputOption = Format.TEXT) -> None:
    """Lists the environments that a name would find."""
    with errors_shown():
        from drctl.config.environment import environment_names, find_environment

        names = {name: str(find_environment(name)) for name in environment_names()}
        if output is not Format.TEXT:
            print_json({"version": 1, "environments": names})
            return
        for name, path in names.items():
            typer.echo(f"{name:<20} {path}")


@env_app.command("show")
def show_environment(
    name: Annotated[str, typer.Argument(help="A file or a name.", autocompletion=environments)],
    output: OutputOption = Format.TEXT,
) -> None:
    """Checks an environment file and shows its targets; asks nothing outside."""
    with errors_shown():
        from drctl.config.environment import find_environment, load_environment

        env = load_environment(find_environment(name))
        if output is not Format.TEXT:
            targets = {name: target.model_dump(mode="json") for name, target in env.targets.items()}
            people = {who: person.model_dump(mode="json") for who, person in env.people.items()}
            shown = {"version": 1, "name": env.name, "world": env.world, "targets": targets}
            print_json({**shown, "people": people})
            return
        guard = "protected" if env.protected else "not protected"
        typer.echo(f"{env.name}: {env.title} ({env.world}, {guard}) {env.file}")
        wide = max(map(len, (*env.targets, *env.people)), default=0)
        for alias, target in env.targets.items():
            typer.echo(f"  {alias:<{wide}} {target.kind:<28} {target.label}")
        from drctl.kernel.signature import fingerprint

        for who, person in env.people.items():
            keys = ", ".join(fingerprint(key) for key in person.keys) or "no key: answers nothing"
            typer.echo(f"  {who:<{wide}} {', '.join(person.roles) or 'no role':<28} {keys}")


def explain(
    subject: Annotated[
        str,
        typer.Argument(help="A topic, an error code, or a rule's id.", autocompletion=subjects),
    ],
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Says more about a topic (safety), an error code or a rule; "rules" lists all of them.

    Example: drctl explain safety; drctl explain DR3101; drctl explain rules
    """
    from drctl.cli.codes import CODES, topics

    found = topics()
    if subject.lower() == "rules" or subject.upper().startswith("DR6"):
        from drctl.view.rules_page import about
        from drctl.view.topic import show_topic

        page = about(subject)
        if page is not None:
            with errors_shown():
                show_topic(page, console(color))
            return
    if subject.lower() in found:
        from drctl.view.topic import show_topic

        with errors_shown():
            show_topic(found[subject.lower()].read_text(encoding="utf-8"), console(color))
        return
    if subject.upper().startswith("DR65"):
        from drctl.cli.importing import explained

        shown = explained(subject.upper())
        if shown:
            typer.echo(shown)
            return
    text = CODES.get(subject.upper())
    if text is None:
        from drctl.kernel.text import did_you_mean, sanitize
        from drctl.plan.rules.catalogue import all_rules

        asked = sanitize(subject, limit=80)
        near = did_you_mean(asked, [*found, "rules", *CODES, *all_rules()])
        typer.echo(f'error DR9404: no topic and no error is called "{asked}"{near}', err=True)
        listed = ", ".join([*found, "rules"])
        typer.echo(f"  do   a topic ({listed}), or the code of an error or rule", err=True)
        raise typer.Exit(Exit.USAGE)
    typer.echo(f"{subject.upper()}: {text}")


def version(output: OutputOption = Format.TEXT) -> None:
    """Shows the version."""
    from drctl import __version__

    if output is Format.TEXT:
        typer.echo(f"drctl {__version__}")
    else:
        print_json({"version": 1, "drctl": __version__})
