"""
Runs a plan of small effects under a real lease; can be stopped or killed anywhere.

``python worker.py run|resume FOLDER BOOK LEDGER LEASE_S HOST [DEED POINT NTH]``: *deed* is ``stop``
(SIGSTOP to itself at the nth hit of the failpoint), ``kill`` (SIGKILL) or ``list`` (tells hits).
Each effect appends a line to the ledger. The last line of output is the result as JSON.
"""

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).parent
for _folder in (HERE, HERE.parent, HERE.parent.parent / "unit" / "engine"):
    sys.path.insert(0, str(_folder))

from arena import Skewed  # noqa: E402
from engine_model import AnyOutputs, AnyParams, plan_of, step  # noqa: E402

from drctl.actions.contract import Action, Adapter, Done, Effect, NotDone, Repeat  # noqa: E402
from drctl.actions.registry import Registry  # noqa: E402
from drctl.actions.targets import FailoverSwitch  # noqa: E402
from drctl.app import compose, leasing, resuming, running  # noqa: E402
from drctl.config.secrets import LocalSecrets  # noqa: E402
from drctl.journal import lease as lease_module  # noqa: E402
from drctl.journal import process  # noqa: E402
from drctl.journal.file_cell import FileCell  # noqa: E402
from drctl.journal.folder import all_folders  # noqa: E402
from drctl.kernel import failpoints  # noqa: E402
from drctl.kernel.clock import SystemClock  # noqa: E402
from drctl.kernel.errors import DrctlError  # noqa: E402
from drctl.plan.model import PlannedLease  # noqa: E402

STEPS = tuple("abcdef")
ROOM = FailoverSwitch.model_validate(
    {
        "aws": {
            "region": "us-west-2",
            "account": "210987654321",
            "access_key_id": "env:A",
            "secret_access_key": "env:B",
        },
        "bucket": "b",
        "key": "k",
        "record_name": "api.example.org",
        "recovery_name": "r.example.org",
        "url": "https://api.example.org",
    }
)
IDENTITIES = ROOM.identities


class Ledgered(Action):
    """Its whole effect is a line in a file; so whether it happened can be read there."""

    summary, repeat = "appends a line", Repeat.CHECK_THEN_ACT
    params, outputs = AnyParams, AnyOutputs

    def __init__(self, name, ledger):
        self.name, self.effect, self._ledger = name, Effect.TRAFFIC, ledger

    async def perform(self, ctx, target, params):
        await ctx.clock.sleep(0.02)
        ctx.permit()
        line = {"pid": os.getpid(), "step": self.name, "key": ctx.key, "at": ctx.clock.now().boot_s}
        handle = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, json.dumps(line).encode() + b"\n")
        os.close(handle)
        return AnyOutputs()

    async def settled(self, ctx, target, params):
        has_happened = ctx.key in _keys(Path(self._ledger))
        return Done(outputs=AnyOutputs()) if has_happened else NotDone(why="no line")


def _keys(ledger):
    text = ledger.read_text() if ledger.exists() else ""
    return [json.loads(line)["key"] for line in text.splitlines()]


def plan(identities=IDENTITIES, now=None):
    made = (now or SystemClock().now()).wall.isoformat()
    steps, before = [], ()
    for name in STEPS:
        steps.append(step(name, effect=Effect.TRAFFIC, needs=before, target="room"))
        before = (name,)
    lease = PlannedLease(identities=identities, moves=identities, cool_down_s=3600.0)
    return plan_of(*steps, ends=("f",), lease=lease, targets={"room": ROOM}, created_at=made)


def parts_of(folder, book, ledger, lease_s, clock=None):
    """Real parts but for the actions; the book is where the test says."""
    leasing.FileCell = lambda _path: FileCell(Path(book))
    actions = tuple(Ledgered(name, ledger) for name in STEPS)
    return compose.Parts(
        registry=Registry([Adapter(name="ledger", actions=actions)]),
        clock=clock or SystemClock(),
        secrets=LocalSecrets(),
        runs=Path(folder),
        lease_s=lease_s,
    )


def elsewhere(host):
    """Makes this process one of another machine, as far as leases can see."""
    for module in (compose, leasing, running, resuming):
        module.host = lambda: host
    process.machine = lambda: host


def _meddle(deed, point, nth):
    hits = []

    def seen(name, number):
        if deed == "list":
            hits.append((name, number))
        elif (name, number) == (point, int(nth)):
            os.kill(os.getpid(), signal.SIGSTOP if deed == "stop" else signal.SIGKILL)

    failpoints.watch(seen)
    return hits


def main(what, folder, book, ledger, lease_s, host, deed="", point="", nth="0", skew_s="0"):
    elsewhere(host)
    began_s = SystemClock().now().boot_s
    clock = Skewed(SystemClock(), timedelta(seconds=float(skew_s)))
    parts = parts_of(folder, book, ledger, float(lease_s), clock)
    hits = _meddle(deed, point, nth) if deed else []
    said = {}
    try:
        if what == "run":
            end, _folder = asyncio.run(
                running.run_plan(parts, plan(now=clock.now()), running.Consent(), [])
            )
        else:
            [found] = all_folders(parts.runs)
            end = asyncio.run(resuming.resume_run(parts, found, []))
        said = {"result": end.result, "why": end.why}
    except DrctlError as error:
        problem = error.problems[0]
        said = {"result": problem.code, "what": problem.what, "why": problem.why, "do": problem.do}
    print(json.dumps({**said, "hits": hits, "began_s": began_s}), flush=True)


if __name__ == "__main__":
    assert lease_module
    main(*sys.argv[1:])
