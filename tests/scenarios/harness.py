"""Runs a scenario folder: a runbook in a model estate, in virtual time."""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

from drctl.actions.registry import installed
from drctl.app.runbooks import load
from drctl.app.running import Consent, preflight
from drctl.cli.execute import exit_code
from drctl.cli.exit import Exit
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine.driver import Driver
from drctl.engine.events import RunFinished, RunStarted
from drctl.engine.ports import Answer
from drctl.engine.state import Record, State, initial
from drctl.kernel import yaml_text, yaml_tree
from drctl.kernel.duration import parse_duration
from drctl.kernel.errors import RefusedError
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.runbook import resolve_inputs
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog
from drctl.simulated.world import Ledger, People, World, registry_of
from drctl.view.lines import Lines
from drctl.view.page import Page
from drctl.view.plan_text import show_plan

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


@dataclass(frozen=True)
class Told:
    """What came of a scenario."""

    plan: Plan
    plan_text: str
    lines: list[str]
    exit_code: int
    ledger: Ledger
    records: list[Record]
    end: RunFinished | None


def read_plain(path: Path) -> dict:
    document = yaml_text.read(path.read_text(), file=str(path))
    assert not document.problems
    return yaml_tree.plain(document.root)


def read_world(path: Path) -> World:
    return World.model_validate(read_plain(path))


class _Inbox:
    def __init__(self, people: People, clock: VirtualClock) -> None:
        self._people, self._clock = people, clock

    def take(self) -> list[Answer]:
        return [
            Answer(
                gate=said.gate, answer=said.answer, by=said.by, via="simulated", reason=said.reason
            )
            for said in self._people.due(self._clock.now())
        ]


def tell(
    runbook: Path,
    world: World,
    inputs: dict[str, str],
    environment: Path = HERE / "environment.yaml",
) -> Told:
    return run_virtual(_tell(runbook, world, inputs, environment))


async def _tell(runbook: Path, world: World, inputs: dict[str, str], environment: Path) -> Told:
    clock, ledger = VirtualClock(), Ledger()
    registry = registry_of(world, installed(), ledger)
    env = load_environment(environment)
    loaded = load(runbook, registry, env.targets)
    planner = Planner(registry=registry, clock=clock, secrets=LocalSecrets())
    known = {name: value for name, value in inputs.items() if name in loaded.runbook.inputs}
    given = resolve_inputs(loaded.runbook, known)
    draft = planner.draft(loaded.runbook, "0" * 64, env, given, included=loaded.source.included)
    plan = (await planner.look(draft)).model_copy(update={"world": "simulated"}).sealed()
    ledger.calls.clear()
    assert ledger.applied == [], "planning must not change anything"
    accepted_s = (
        parse_duration(world.accepted_loss).total_seconds() if world.accepted_loss else None
    )
    lines: list[str] = []
    try:
        preflight(plan, Consent(accepted_loss_s=accepted_s))
    except RefusedError as error:
        lines = [f"refused: {problem.what}" for problem in error.problems]
        return Told(plan, _text(plan), lines, Exit.REFUSED, ledger, [], None)
    log = MemoryLog(clock)
    view = Lines(lines.append, clock)
    view._plan, view._run = plan, "run"
    driver = Driver(
        plan,
        initial(plan),
        log=log,
        registry=registry,
        clock=clock,
        secrets=LocalSecrets(),
        inbox=_Inbox(People(world.says), clock),
        listeners=[view],
    )
    if world.interrupt_at:
        delay_s = parse_duration(world.interrupt_at).total_seconds()
        asyncio.get_running_loop().call_later(delay_s, driver.interrupt, "SIGINT")
    first = RunStarted(
        run_id="run",
        plan_digest=plan.digest,
        runbook=plan.runbook,
        environment=plan.environment,
        world="simulated",
        operator="alice",
        host="laptop",
        version="0",
        rto_s=plan.objectives.rto_s,
        rpo_s=plan.objectives.rpo_s,
        elapsed_before_s=parse_duration(world.started_ago).total_seconds(),
        clock_source="flag",
        accepted_loss_s=accepted_s,
    )
    end = await driver.run(first)
    return Told(plan, _text(plan), lines, exit_code(end), ledger, log.records, end)


def _text(plan: Plan) -> str:
    from rich.console import Console

    stream = io.StringIO()
    show_plan(plan, Page.of(Console(file=stream, width=160, highlight=False)))
    text = stream.getvalue().replace(str(REPOSITORY) + "/", "")
    # The digests cover the code of the actions: they are others after every edit.
    apart = ("  digest ", "  seal ")
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith(apart)]
    return "\n".join(lines) + "\n"


def fold_states(plan: Plan, records: list[Record]) -> list[State]:
    from drctl.engine.fold import fold

    states = [initial(plan)]
    for record in records:
        states.append(fold(plan, states[-1], record))
    return states
