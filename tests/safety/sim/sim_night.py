"""One simulated night: the real driver, fold, decide and choke point; everything else is drawn."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from sim_plans import MadePin, Stage, made_up, shipped
from sim_story import Death, Said, Story, behaviours, draw

from drctl.actions.contract import Adapter
from drctl.actions.registry import Registry
from drctl.app import resuming
from drctl.config.secrets import LocalSecrets
from drctl.engine import driver as engine
from drctl.engine import events as e
from drctl.engine.driver import Driver
from drctl.engine.fold import fold
from drctl.engine.ports import Answer, Order
from drctl.engine.state import Record, State, initial
from drctl.journal.chain import decode, encode
from drctl.kernel.clock import Instant
from drctl.lab.history import History, Violation, check
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.models import World
from drctl.simulated.world import Ledger, registry_of

LONGEST_S = 200_000.0
"""No night lasts longer, in virtual time."""
LIVES = 8


class Dead(BaseException):
    """The process is gone: nothing of it may go on."""


class DyingLog:
    """A journal as bytes, whose writer dies at a given record."""

    def __init__(self, data: bytearray, clock: VirtualClock, death: Death | None) -> None:
        chain = decode(bytes(data), name="sim")
        del data[chain.size :]
        self.records = list(chain.records)
        self.torn = chain.torn_bytes
        self._data, self._clock, self._death = data, clock, death
        self._head, self._own = chain.head, 0
        self.is_dead = False

    def append(self, event: e.Event) -> Record:
        if self.is_dead:
            raise Dead
        now = self._clock.now()
        at = Instant(wall=now.wall, boot_s=round(now.boot_s, 6), boot_id=now.boot_id)
        record = Record(seq=len(self.records) + 1, at=at, event=event)
        line, head = encode(record, self._head)
        self._own += 1
        dies = self._death is not None and self._own == self._death.at_event
        how = self._death.how if self._death and dies else "after"
        if how == "torn":
            self._data += line[: len(line) // 2]
        if how == "after":
            self._data += line
            self.records.append(record)
            self._head = head
        if dies:
            self.is_dead = True
            raise Dead
        return record

    def is_ours(self) -> bool:
        return not self.is_dead


class Street:
    """What people say, in true time, to whoever runs."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = list(said)

    def take(self) -> list[Answer | Order]:
        now_s = asyncio.get_running_loop().time()
        due = [one for one in self._said if one.at_s <= now_s]
        for one in due:
            self._said.remove(one)
            if one.again_s and one.at_s < 20_000:
                later_s = one.at_s + one.again_s
                while later_s <= now_s:
                    later_s += one.again_s
                self._said.append(replace(one, at_s=later_s))
        return [_heard(one) for one in due]


def _heard(one: Said) -> Answer | Order:
    if one.word in {"approve", "deny"}:
        return Answer(gate=one.step, answer=one.word, by=one.by, via="sim")  # type: ignore[arg-type]
    step = one.step if one.word in {"retry", "skip", "force"} else ""
    return Order(order=one.word, by=one.by, via="sim", step=step, reason="because")  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of a night."""

    story: Story
    journal: bytes
    result: str
    ended_s: float
    lives: int
    ledger: Ledger
    violations: list[Violation]

    @property
    def state(self) -> dict[tuple[str, str], str]:
        """The estate at the end; what was never touched is as it was."""
        return {where: value for where, value in self.ledger.state.items() if value != "as it was"}


def stage_of(story_made: int | None) -> Stage:
    """The runbook of a story."""
    return shipped() if story_made is None else made_up(story_made)


def story_of(seed: int) -> Story:
    """The story of a seed."""
    made = None if seed % 3 == 0 else seed
    stage = stage_of(made)
    gates = [step.id for step in stage.plan.steps if step.gate is not None]
    return draw(seed, stage.names, [step.id for step in stage.plan.steps], gates, made)


def live(story: Story) -> Came:
    """Lives through a night and judges it."""
    with _people_are_heard_less_often():
        return _compared(story)


@contextmanager
def _people_are_heard_less_often() -> Iterator[None]:
    """Ten looks a second at an open gate are most of what a night costs, and tell nothing."""
    before, engine.INBOX_EVERY_S = engine.INBOX_EVERY_S, 2.0
    try:
        yield
    finally:
        engine.INBOX_EVERY_S = before


def _compared(story: Story) -> Came:
    stage = stage_of(story.made)
    came = run_virtual(_live(story, stage))
    if story.deaths and came.result == "succeeded" and not _is_ordered(story):
        # Who dies and is taken up must end where the one who lives does.
        twin = run_virtual(_live(replace(story, deaths=()), stage))
        if twin.result == "succeeded" and twin.state != came.state:
            what = "a death and a resume ended in another estate"
            seen = (f"{sorted(twin.state.items())}", f"{sorted(came.state.items())}")
            came.violations.append(Violation(promise="I7", what=what, evidence=seen))
    return came


def _is_ordered(story: Story) -> bool:
    return any(one.word not in {"approve", "deny", "note"} for one in story.said)


async def _live(story: Story, stage: Stage) -> Came:
    plan, ledger = stage.plan, Ledger()
    acts = behaviours(story, stage.behaviours)
    for name in stage.names:
        real = stage.actions.get(name)
        # The drain after a fence has its own truth: nothing is left.
        if real is not None and real.measures_loss and name != "postgres.replication.wait":
            acts[name] = acts[name].model_copy(update={"outputs": story.lost})
    world = World(actions=acts, cuts=story.cuts, chances=story.chances, seed=story.seed)
    simulated = registry_of(world, stage.actions, ledger)
    registry = Registry(
        [Adapter(name="sim", actions=tuple(simulated), pins=(MadePin(story.pins),))]
    )
    street = Street(story.said)
    journal, found, result = bytearray(), [], "died"
    deaths = list(story.deaths)
    resumes, life, machine, booted_s = story.resumes, 0, "m0", 0.0
    loop = asyncio.get_running_loop()
    while life < LIVES:
        clock = VirtualClock(
            boot_id=machine, booted_s=booted_s, wrong_by_s=_wrong_by(story, machine)
        )
        death = deaths.pop(0) if deaths else None
        log = DyingLog(journal, clock, death)
        ledger.journal_length = lambda log=log: len(log.records)
        state = initial(plan)
        for record in log.records:
            state = fold(plan, state, record)
        if life and not _may_resume(stage, state):
            break
        driver = Driver(
            plan, state, log=log, registry=registry, clock=clock, secrets=LocalSecrets(),
            inbox=street,
        )  # fmt: skip
        if story.interrupt_s is not None and life == 0:
            loop.call_later(story.interrupt_s, driver.interrupt, "SIGINT")
        life += 1
        first = _first(story, plan, log)
        try:
            end = await driver.run(first)
            result = end.result
            found += _folds(plan, log, driver.state)
        except Dead:
            result = "died"
        except Exception as error:  # noqa: BLE001 (whatever it is, it ended a recovery)
            what = f"the driver fell over: {type(error).__name__}: {error}"
            found.append(Violation(promise="I13", what=what))
            break
        if result == "died":
            if death is None:
                raise AssertionError("nobody killed it")
            await asyncio.sleep(death.down_s)
            if death.machine != "same":
                machine = f"{'m0' if death.machine == 'rebooted' else 'other'}-{life}"
                booted_s = loop.time() - 30.0
            continue
        if result == "succeeded" or resumes == 0 or not _may_resume(stage, driver.state):
            break
        resumes -= 1
        await asyncio.sleep(11.0)
    ended_s = loop.time()
    await ledger.quiet()
    if not journal or b"\n" not in journal:
        return Came(story=story, journal=bytes(journal), result=result, ended_s=ended_s,
                    lives=life, ledger=ledger, violations=found)  # fmt: skip
    found += _judge(stage, bytes(journal), ledger)
    if ended_s > LONGEST_S:
        found.append(Violation(promise="I11", what=f"the night lasted {ended_s:.0f}s"))
    return Came(
        story=story, journal=bytes(journal), result=result, ended_s=ended_s, lives=life,
        ledger=ledger, violations=found,
    )  # fmt: skip


def _judge(stage: Stage, journal: bytes, ledger: Ledger) -> list[Violation]:
    lines = [json.loads(line) for line in journal.split(b"\n")[:-1]]
    history = History(
        journal=lines, plan=stage.as_data, ledger=ledger.lines(), repeats=stage.repeats,
        is_complete=True,
    )  # fmt: skip
    return check(history)


def _folds(plan: Any, log: DyingLog, known: State) -> list[Violation]:
    """What is written must say what the driver knew."""
    state = initial(plan)
    for record in log.records:
        state = fold(plan, state, record)
    if state == known:
        return []
    return [Violation(promise="I7", what="the record folds to something else than was known")]


def _may_resume(stage: Stage, state: State) -> bool:
    if state.start is None:
        return True
    folder: Any = SimpleNamespace(run_id="sim")
    return resuming._refusal(folder, stage.plan, state) is None


def _first(story: Story, plan: Any, log: DyingLog) -> Any:
    if log.records:
        return e.RunResumed(operator="bob", host="sim", version="0", torn_bytes=log.torn)
    return e.RunStarted(
        run_id=f"sim-{story.seed}", plan_digest=plan.digest, runbook=plan.runbook,
        environment=plan.environment, world="simulated", operator="dave", host="sim", version="0",
        rto_s=plan.objectives.rto_s, rpo_s=plan.objectives.rpo_s, elapsed_before_s=12.5,
        clock_source="flag", accepted_loss_s=story.accepted_s,
        accepted_reason="better than waiting" if story.accepted_s else None,
    )  # fmt: skip


def _wrong_by(story: Story, machine: str) -> Any:
    skew_s = {"m": 0.0, "o": -5400.0}[machine[0]]

    def wrong_by_s(true_s: float) -> float:
        return skew_s + sum(by_s for at_s, by_s in story.jumps if at_s <= true_s)

    return wrong_by_s
