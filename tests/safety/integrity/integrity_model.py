"""People with keys, a plan with gates, and the real driver on it in virtual time."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from engine_model import Fake, plan_of, registry_for, started, step

from drctl.actions.contract import Effect
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.approval import seen_of
from drctl.engine.driver import Driver
from drctl.engine.fold import fold
from drctl.engine.ports import Answer
from drctl.engine.state import Record, State, initial
from drctl.engine.statement import Statement, as_time, write_answer
from drctl.kernel.clock import Instant
from drctl.kernel.signature import KeyPair, new_key
from drctl.plan.model import Plan, PlannedGate, PlannedPerson
from drctl.simulated.clock import EPOCH, VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog

COMMANDER = "incident-commander"


@dataclass
class People:
    """Who is enrolled, and both halves of their keys."""

    keys: dict[str, list[KeyPair]]
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def planned(self) -> dict[str, PlannedPerson]:
        return {
            name: PlannedPerson(
                roles=self.roles.get(name, (COMMANDER,)),
                keys=tuple(key.public for key in keys),
                login=name,
            )
            for name, keys in self.keys.items()
        }


KEYS = [new_key() for _ in range(12)]
"""Made once: what is tried are rules, not randomness."""


def draws(seed: Any) -> random.Random:
    """One seed, one run."""
    return random.Random(seed)


def some_people(draw: random.Random, *, at_least: int = 3) -> People:
    names = draw.sample(["alice", "bob", "carol", "dan", "erin", "frank"], k=at_least)
    keys = iter(draw.sample(KEYS, k=len(KEYS)))
    return People({name: [next(keys), next(keys)] for name in names})


def gated(people: People, *, quorum: int = 1, **gate: Any) -> Plan:
    """A change behind a gate, and another behind a second one."""
    settings = {"title": "Go", "expires_s": 3.0, "quorum": quorum, "approvers": (COMMANDER,)}
    return plan_of(
        step("go", gate="go"),
        step("change", target="room", effect=Effect.CHANGE, needs=("go",)),
        step("go_on", gate="go_on", needs=("change",)),
        step("more", target="room", effect=Effect.CHANGE, needs=("go_on",)),
        gates={
            "go": PlannedGate(**(settings | gate)),
            "go_on": PlannedGate(**(settings | gate)),
        },
        people=people.planned(),
    )


def statement(plan: Plan, state: State, person: str, gate: str = "go", **more: Any) -> Statement:
    """A statement that counts, unless *more* spoils it."""
    base: dict[str, Any] = {
        "digest": plan.digest,
        "run": "run",
        "gate": gate,
        "environment": plan.environment,
        "person": person,
        "answer": "approve",
        "reason": "because",
        "seen": more.get("seen") or seen_of(plan, state, gate),
        "expires": as_time(EPOCH + timedelta(minutes=10)),
        "nonce": f"{random.getrandbits(128):032x}",
        "how": "here",
    }
    return Statement(**(base | more))


def answer(line: str, gate: str = "go", word: Any = "approve") -> Answer:
    return Answer(gate=gate, answer=word, by="somebody", via="test", statement=line)


def signed(
    plan: Plan, state: State, people: People, person: str, *, key: int = 0, **more: Any
) -> Answer:
    said = statement(plan, state, person, **more)
    word = more.get("answer", "approve")
    line = write_answer(said, people.keys[person][key].private)
    return answer(line, more.get("gate", "go"), word)


def open_now(plan: Plan) -> State:
    """The state of a run of the plan that waits at its first gate."""
    state = initial(plan)
    now = Instant(wall=EPOCH, boot_s=0.0, boot_id="b")
    opened = e.GateOpened(
        step="go", gate="go", title="Go", show=("x",), approvers=(), quorum=1, expires_s=9.0
    )
    for seq, event in enumerate((started(plan, requesters=("zoe",)), opened), start=1):
        state = fold(plan, state, Record(seq=seq, at=now, event=event))
    return state


class SteppingClock(VirtualClock):
    """Virtual time whose wall clock somebody sets."""

    def __init__(self) -> None:
        super().__init__()
        self.off = timedelta()

    def now(self) -> Instant:
        true = super().now()
        return Instant(wall=true.wall + self.off, boot_s=true.boot_s, boot_id=true.boot_id)


@dataclass
class Tried:
    """What came of a run into which answers were thrown."""

    state: State
    events: list[e.Event]
    effects: list[str]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def why(self) -> list[str]:
        return [event.why for event in self.of(e.AnswerRefused)]


class _Script:
    """Throws one answer after the other while a gate is open."""

    def __init__(self, moves: Any, clock: SteppingClock) -> None:
        self.driver: Driver | None = None
        self._moves, self._clock = list(moves), clock

    def take(self) -> list[Answer]:
        driver = self.driver
        if driver is None or not driver.state.gates.keys() & driver.state.running:
            return []
        if not self._moves:
            return []
        made = self._moves.pop(0)(driver.state, self._clock)
        return made if isinstance(made, list) else [made]


def try_answers(plan: Plan, *moves: Any, requesters: tuple[str, ...] = ("zoe",)) -> Tried:
    """
    Runs the plan and throws answers at its gates.

    Args:
        moves: Functions of (state, clock) that give answers; each is called once, in turn, while a
            gate is open.
    """

    async def main() -> Tried:
        clock, sent = SteppingClock(), []

        def doing(name: str) -> Any:
            async def does(ctx: Any, _call: int) -> dict[str, Any]:
                ctx.permit()
                sent.append(name)
                return {}

            return does

        fakes = [Fake(name, Effect.CHANGE, does=doing(name)) for name in ("change", "more")]
        log, script = MemoryLog(clock), _Script(moves, clock)
        driver = Driver(
            plan,
            initial(plan),
            log=log,
            registry=registry_for(plan, fakes, ()),
            clock=clock,
            secrets=LocalSecrets(),
            inbox=script,
        )
        script.driver = driver
        await driver.run(started(plan, requesters=requesters))
        return Tried(driver.state, [record.event for record in log.records], sent)

    return run_virtual(main())
