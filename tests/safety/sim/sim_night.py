"""One simulated night: the real driver, fold, decide and choke point; everything else is drawn."""

import asyncio
import json
import math
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
from drctl.engine.undoing import undoing
from drctl.journal.chain import decode, encode
from drctl.kernel.clock import Instant
from drctl.lab.history import History, Violation, check
from drctl.plan.model import Plan
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.models import Behaviour, World
from drctl.simulated.world import Ledger, registry_of

LONGEST_S = 200_000.0
"""No night lasts longer, in virtual time."""
LIVES = 8
HEARD_EVERY_S = 2.0
AS_IT_WAS = "as it was"
PATIENCE_S = 6000.0
"""How long somebody lets one process wait, before he ends it."""


class Dead(BaseException):
    """The process is gone: nothing of it may go on."""


class DyingLog:
    """A journal as bytes, whose writer dies at a given record."""

    def __init__(self, data: bytearray, clock: VirtualClock, death: Death | None) -> None:
        chain = decode(bytes(data), name="sim")
        del data[chain.size :]
        self.records = list(chain.records)
        self.torn = chain.torn_bytes
        self._data, self.clock, self._death = data, clock, death
        self._head, self._own = chain.head, 0
        self.is_dead = False

    def append(self, event: e.Event) -> Record:
        if self.is_dead:
            raise Dead
        now = self.clock.now()
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

    def state(self, plan: Plan) -> State:
        """What is written."""
        state = initial(plan)
        for record in self.records:
            state = fold(plan, state, record)
        return state


class Street:
    """What people say, in true time, to whoever runs."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = list(said)

    @property
    def next_s(self) -> float:
        """When somebody says something again."""
        return min((one.at_s for one in self._said), default=math.inf)

    def take(self) -> list[Answer | Order]:
        now_s = asyncio.get_running_loop().time()
        due = [one for one in self._said if one.at_s <= now_s]
        for one in due:
            self._said.remove(one)
            if one.again_s and one.at_s < PATIENCE_S:
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
    before, engine.INBOX_EVERY_S = engine.INBOX_EVERY_S, HEARD_EVERY_S
    try:
        yield
    finally:
        engine.INBOX_EVERY_S = before


def _compared(story: Story) -> Came:
    came = _night(story)
    if story.deaths and came.result == "succeeded" and not _is_ordered(story):
        # Who dies and is taken up must end where the one who lives does.
        twin = _night(replace(story, deaths=()))
        if twin.result == "succeeded" and twin.state != came.state:
            what = "a death and a resume ended in another estate"
            seen = (f"{sorted(twin.state.items())}", f"{sorted(came.state.items())}")
            came.violations.append(Violation(promise="I7", what=what, evidence=seen))
    return came


def _is_ordered(story: Story) -> bool:
    return any(one.word not in {"approve", "deny", "note"} for one in story.said)


def _night(story: Story) -> Came:
    night = Night(story, stage_of(story.made))
    try:
        run_virtual(night.live())
    except RuntimeError as error:
        night.found.append(Violation(promise="I11", what=f"it waits for ever: {error}"))
    return night.came()


class Night:
    """The estate, the people, and one process after the other."""

    def __init__(self, story: Story, stage: Stage) -> None:
        self.story, self.stage, self.ledger = story, stage, Ledger()
        self.journal, self.result, self.ended_s = bytearray(), "died", 0.0
        self.found: list[Violation] = []
        self.lives, self.machine, self.booted_s = 0, "m0", 0.0
        self._deaths, self._resumes = list(story.deaths), story.resumes
        self._street = Street(story.said)
        world = World(actions=_acts(story, stage), cuts=story.cuts, chances=story.chances,
                      seed=story.seed)  # fmt: skip
        simulated = registry_of(world, stage.actions, self.ledger)
        pins = (MadePin(story.pins),)
        self._registry = Registry([Adapter(name="sim", actions=tuple(simulated), pins=pins)])

    async def live(self) -> None:
        """One process after the other, until nobody takes the run up any more."""
        while self.lives < LIVES and await self._one_life(None):
            pass
        if self.story.undone_after_s is not None and self.result not in {"died", "succeeded"}:
            await asyncio.sleep(self.story.undone_after_s)
            state = self._log(None).state(self.stage.plan)
            there = undoing(self.stage.plan, state, "")
            if there.refusal is None and there.steps:
                asked = e.UndoRequested(by="bob", host="sim", version="0", reason="because")
                await self._one_life(asked)
        self.ended_s = asyncio.get_running_loop().time()
        await self.ledger.quiet()

    def came(self) -> Came:
        """Judges the night."""
        if b"\n" in self.journal:
            self.found += _judge(self.stage, bytes(self.journal), self.ledger)
        if self.result == "undone":
            self.found += _left_behind(self.stage.plan, self.ledger)
        if self.ended_s > LONGEST_S:
            what = f"the night lasted {self.ended_s:.0f}s"
            self.found.append(Violation(promise="I11", what=what))
        return Came(
            story=self.story, journal=bytes(self.journal), result=self.result,
            ended_s=self.ended_s, lives=self.lives, ledger=self.ledger, violations=self.found,
        )  # fmt: skip

    def _log(self, death: Death | None) -> DyingLog:
        wrong_by_s = _wrong_by(self.story, self.machine)
        clock = VirtualClock(boot_id=self.machine, booted_s=self.booted_s, wrong_by_s=wrong_by_s)
        return DyingLog(self.journal, clock, death)

    async def _one_life(self, first: Any) -> bool:
        """One process, from its start to its end; true when there is to be another."""
        plan = self.stage.plan
        death = self._deaths.pop(0) if self._deaths else None
        log = self._log(death)
        self.ledger.journal_length = lambda: len(log.records)
        state = log.state(plan)
        if first is None and self.lives and not _may_resume(self.stage, state):
            return False
        driver = Driver(
            plan, state, log=log, registry=self._registry, clock=log.clock,
            secrets=LocalSecrets(), inbox=self._street,
        )  # fmt: skip
        if self.story.interrupt_s is not None and self.lives == 0:
            loop = asyncio.get_running_loop()
            loop.call_later(self.story.interrupt_s, driver.interrupt, "SIGINT")
        self.lives += 1
        listening = asyncio.create_task(self._listen(driver))
        try:
            end = await driver.run(first or _first(self.story, plan, log))
        except Dead:
            self.result = "died"
            await self._die(death)
            return True
        except Exception as error:  # noqa: BLE001 (whatever it is, it ended a recovery)
            what = f"the driver fell over: {type(error).__name__}: {error}"
            self.found.append(Violation(promise="I13", what=what))
            return False
        finally:
            listening.cancel()
        self.result = end.result
        if log.state(plan) != driver.state:
            what = "the record folds to something else than was known"
            self.found.append(Violation(promise="I7", what=what))
        if end.result == "succeeded" or not self._resumes:
            return False
        self._resumes -= 1
        await asyncio.sleep(11.0)
        return True

    async def _listen(self, driver: Driver) -> None:
        """People are heard when they say something; a run that is held up is ended at last."""
        loop = asyncio.get_running_loop()
        late_s = loop.time() + PATIENCE_S
        while loop.time() < late_s:
            next_s = min(self._street.next_s, late_s)
            await asyncio.sleep(max(HEARD_EVERY_S, next_s - loop.time()))
            driver.wake()
        driver.interrupt("SIGTERM")

    async def _die(self, death: Death | None) -> None:
        assert death is not None, "nobody killed it"
        await asyncio.sleep(death.down_s)
        if death.machine != "same":
            word = "m0" if death.machine == "rebooted" else "other"
            self.machine = f"{word}-{self.lives}"
            self.booted_s = asyncio.get_running_loop().time() - 30.0


def _acts(story: Story, stage: Stage) -> dict[str, Behaviour]:
    acts = behaviours(story, stage.behaviours)
    for name in stage.names:
        real = stage.actions.get(name)
        # The drain after a fence has its own truth: nothing is left.
        if real is not None and real.measures_loss and name != "postgres.replication.wait":
            acts[name] = acts[name].model_copy(update={"outputs": story.lost})
    return acts


def _left_behind(plan: Plan, ledger: Ledger) -> list[Violation]:
    """What an undo that says it is done has not put back."""
    facets = {facet for _label, facet in ledger.state}
    found = []
    for step in plan.steps:
        if step.undo is None or step.undo.target is None:
            continue
        label = plan.targets[step.undo.target].label
        for facet in facets & {
            f"made.{step.id}",
            "aws.rds.fence",
            "kubernetes.deployment.replicas",
        }:
            now = ledger.state.get((label, facet), AS_IT_WAS)
            if now not in {AS_IT_WAS, "replicas 1"}:
                what = f"the run is undone, and {facet} of {label} is {now}"
                found.append(Violation(promise="I12", what=what))
    return found


def _judge(stage: Stage, journal: bytes, ledger: Ledger) -> list[Violation]:
    lines = [json.loads(line) for line in journal.split(b"\n")[:-1]]
    history = History(
        journal=lines, plan=stage.as_data, ledger=ledger.lines(), repeats=stage.repeats,
        is_complete=True,
    )  # fmt: skip
    return check(history)


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
