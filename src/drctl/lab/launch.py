"""How a lab comes up: the supervisor first, then the estate through its APIs, then the witness."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from drctl.lab import root as processes
from drctl.lab.access import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Secrets
from drctl.lab.blocking import run_apart
from drctl.lab.channel import ask
from drctl.lab.estate.credentials import NEXT_PASSWORD
from drctl.lab.estate.database import OPERATOR_USER
from drctl.lab.estate.environment import (
    DATABASE,
    SLACK_WEBHOOK,
    WEST,
    WITNESS_BUCKET,
    WITNESS_KEY,
    Estate,
    environment_file,
    kubeconfig,
)
from drctl.lab.plan import BALANCER_PORT, POSTGRES_PORT, PUBLIC_NAME, AddressPlan
from drctl.lab.root import SUPERVISOR, LabRoot, Process
from drctl.lab.shapes import Shape, load
from drctl.lab.traffic import Names, Settings, attempt

_START_S = 180.0
_ANSWER_S = 10.0


def launch(plan: AddressPlan, root: LabRoot, say: Callable[[str], None], chosen: Shape) -> None:
    """
    Brings a lab of a shape up from nothing.

    Raises:
        FileExistsError: Its folder is there.
        Exception: A part did not come up; what is there stays for the caller to take down.

    Changes:
        Everything a lab has.
    """
    root.create()
    secrets = Secrets(root.secrets)
    secrets.make("database_master", "database_healing_guard", "database_drctl", "statuspage_token")
    secrets.make(NEXT_PASSWORD)  # nobody's, until the application's password is rotated
    secrets.write("aws_access_key_id", ACCESS_KEY_ID)
    secrets.write("aws_secret_access_key", SECRET_ACCESS_KEY)
    secrets.write("slack_webhook", f"{plan.recorder_url}/services/{SLACK_WEBHOOK}")
    command = [sys.executable, "-m", "drctl.lab.supervisor"]
    command += ["--net", str(plan.net), "--shape", chosen.name]
    supervisor = processes.spawn(root, SUPERVISOR, command)
    # The client libraries take a second or two to load: meanwhile the supervisor starts.
    from drctl.lab.estate.build import Doors, build

    doors = Doors(plan, secrets)
    told = _wait_for(supervisor, root)
    say("control planes, name server, recorder")

    def observe(primary: str) -> None:
        request = {"do": "start_witness", "environment": _witness(plan, secrets, primary)}
        ask(root.control, request, timeout_s=_ANSWER_S)

    databases = load(chosen.database)()
    facts = ask(root.control, {"do": "facts"}, timeout_s=_ANSWER_S)
    built = build(doors, told["authorities"], databases, facts, observe=observe, say=say)
    added = ask(root.control, {"do": "environment"}, timeout_s=_ANSWER_S)["parts"]
    _write(root, plan, secrets, replace(built, entries=(*built.entries, *added)))
    run_apart(_wait_for_service(plan))
    say("service")


def _witness(plan: AddressPlan, secrets: Secrets, primary: str) -> dict[str, str]:
    host, port = plan.dns
    return {
        "RESOLVER": f"{host}:{port}",
        "DATABASE_HOST": primary,
        "DATABASE_PORT": str(POSTGRES_PORT),
        "DATABASE_NAME": DATABASE,
        "DATABASE_USER": OPERATOR_USER,
        "DATABASE_PASSWORD": secrets.read(f"database_{OPERATOR_USER}"),
        "REGION": WEST,
        "S3_ENDPOINT": plan.aws_url(WEST),
        "WITNESS_BUCKET": WITNESS_BUCKET,
        "WITNESS_KEY": WITNESS_KEY,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }


def _wait_for(supervisor: Process, root: LabRoot) -> dict[str, Any]:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if not supervisor.is_alive:
            raise ChildProcessError("the supervisor ended")
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return ask(root.control, {"do": "status"}, timeout_s=_ANSWER_S)
        time.sleep(0.05)
    raise TimeoutError(f"the supervisor did not answer within {_START_S:.0f} s")


def _write(root: LabRoot, plan: AddressPlan, secrets: Secrets, built: Estate) -> None:
    files = {root.environment: environment_file(built, plan, secrets)}
    for region, side in (("us-east-1", built.east), ("us-west-2", built.west)):
        files[root.kubeconfig(region)] = kubeconfig(region, side.cluster, secrets)
    for place, text in files.items():
        place.touch(mode=0o600)
        place.write_text(text, encoding="utf-8")


async def _wait_for_service(plan: AddressPlan) -> None:
    """Uses the service once, as a customer would."""
    settings = Settings(
        name=PUBLIC_NAME, port=BALANCER_PORT, resolver=plan.dns, log=Path(os.devnull)
    )
    deadline = time.monotonic() + _START_S
    while True:
        told = await attempt(settings, Names(plan.dns))
        if told["kind"] == "acknowledged":
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the service does not answer: {told['error']}")
        await asyncio.sleep(0.1)
