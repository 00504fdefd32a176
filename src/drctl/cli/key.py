"""``drctl key``: the keys with which people answer gates."""

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.exit import errors_shown

app = typer.Typer(help="Keys with which people answer gates.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def new(
    out: Annotated[Path, typer.Option("--out", help="Where; never overwrites.")] = Path(
        "drctl.key"
    ),
) -> None:
    """
    Makes a key that only you may read, and prints the line to enrol it with.

    Example: drctl key new --out ~/.config/drctl/alice.key
    """
    with errors_shown():
        from drctl.app.compose import logins
        from drctl.app.signing import make_key
        from drctl.kernel.signature import fingerprint

        public = make_key(out)
        typer.echo(f"{out} is your private key: keep it, show it to nobody.", err=True)
        typer.echo(f"fingerprint {fingerprint(public)}", err=True)
        typer.echo("put this under people: in the environment file:", err=True)
        line = f'NAME: {{roles: [incident-commander], login: {logins()[0]}, keys: ["{public}"]}}'
        typer.echo(f"  {line}")
