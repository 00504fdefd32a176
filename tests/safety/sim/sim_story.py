"""
What happens in one simulated night, drawn from a seed: plain data, so that it can be made smaller.

Each seed first chooses which kinds of trouble there are at all. A world with everything in it at
once never gets far enough to show what two troubles do together.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from drctl.simulated.models import Behaviour, Chance, Cut, Fault

WRONG = ["throttled", "unavailable", "auth_rejected", "not_found", "conflict", "rejected", "bug",
         "slow", "duplicate", "wrong_object"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Death:
    """A process that ends in the middle, and what comes after it."""

    at_event: int
    """Which record of this process it dies at."""
    how: str
    """``before``: the record is not written; ``after``; ``torn``: half of it is."""
    down_s: float
    machine: str
    """``same``, ``rebooted`` or ``other``: who takes the run up."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer or an order."""

    at_s: float
    word: str
    step: str
    by: str
    again_s: float = 0.0
    """Said again every so often; 0: once."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One night."""

    seed: int
    made: int | None
    """Seed of the made-up runbook; ``None``: the shipped one."""
    faults: tuple[tuple[str, Fault], ...] = ()
    blind: tuple[str, ...] = ()
    """Actions whose read-back cannot tell."""
    cuts: tuple[Cut, ...] = ()
    chances: tuple[Chance, ...] = ()
    pins: tuple[tuple[int, str], ...] = ()
    """From which reading on a pin answers what: ``other`` or ``nothing``."""
    deaths: tuple[Death, ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()
    """When the wall clock jumps, and by how much; in seconds."""
    said: tuple[Said, ...] = ()
    interrupt_s: float | None = None
    accepted_s: float | None = None
    lost: dict[str, Any] = field(default_factory=lambda: {"bound": 2.0, "source": "heartbeat"})
    undone_after_s: float | None = None
    """When somebody takes back what was done; ``None``: nobody does."""
    resumes: int = 0
    """How often somebody takes up a run that has stopped."""

    @property
    def size(self) -> int:
        """How many things go wrong in it."""
        parts = (self.faults, self.blind, self.cuts, self.chances, self.pins, self.deaths,
                 self.jumps, self.said)  # fmt: skip
        once = (self.interrupt_s is not None, self.undone_after_s is not None)
        return sum(len(part) for part in parts) + sum(once) + self.resumes


def draw(
    seed: int, actions: list[str], steps: list[str], gates: list[str], made: int | None
) -> Story:
    """Makes the night of *seed* for a plan with these actions, steps and gates."""
    r = random.Random(seed)
    kinds = {name for name in KINDS if r.random() < 0.35}
    more: dict[str, Any] = {}
    kinds -= set() if actions else {"faults", "blind"}
    if "faults" in kinds:
        more["faults"] = tuple((r.choice(actions), _fault(r)) for _ in range(r.randint(1, 4)))
    if "blind" in kinds:
        more["blind"] = tuple(r.sample(actions, k=min(len(actions), r.randint(1, 2))))
        # That nobody can look matters when there is something to look for.
        lost = [(name, _lost(r)) for name in more["blind"] if r.random() < 0.7]
        more["faults"] = (*more.get("faults", ()), *lost)
    if "cuts" in kinds:
        more["cuts"] = tuple(_cut(r) for _ in range(r.randint(1, 2)))
    if "chances" in kinds:
        more["chances"] = tuple(_chance(r) for _ in range(r.randint(1, 3)))
    if "pins" in kinds:
        more["pins"] = ((r.randint(1, 8), r.choice(["other", "nothing"])),)
    if "deaths" in kinds:
        more["deaths"] = tuple(_death(r) for _ in range(r.choice([1, 1, 2, 3])))
    if "jumps" in kinds:
        more["jumps"] = tuple(
            (r.uniform(0, 600), r.choice([-1, -3600, -86400, 3600, 86400, 3.2e8]))
            for _ in range(r.randint(1, 4))
        )
    if "interrupt" in kinds and r.random() < 0.5:
        more["interrupt_s"] = r.choice([0.0, 1.0, 5.0, 30.0, 200.0])
    if "loss" in kinds:
        bound = r.choice([0.0, 299.0, 300.0, 301.0, 3600.0, None, -1.0])
        more["lost"] = {"bound": bound, "source": "heartbeat"}
        more["accepted_s"] = r.choice([None, None, 600.0, 1e12])
    if "undo" in kinds:
        more["undone_after_s"] = r.choice([0.0, 60.0])
    more["said"] = _said(r, steps, gates, kinds)
    more["resumes"] = r.choice([0, 0, 1, 2])
    return Story(seed=seed, made=made, **more)


KINDS = ["faults", "blind", "cuts", "chances", "pins", "deaths", "jumps", "interrupt", "loss",
         "people", "orders", "undo"]  # fmt: skip


def _fault(r: random.Random) -> Fault:
    error = r.choice(["outcome_unknown", "outcome_unknown", "hang", *WRONG])
    applied = error in {"outcome_unknown", "hang", "bug", "wrong_object"} and r.random() < 0.6
    return Fault(
        call=r.choice([1, 1, 1, 2, 3]),
        calls=r.choice([1, 1, 2, 0]),
        error=error,
        applied=applied,
        late_s=r.choice([0.0, 0.0, 1.0, 20.0, 28.0, 100.0]) if applied else 0.0,
    )


def _lost(r: random.Random) -> Fault:
    return Fault(error=r.choice(["outcome_unknown", "hang"]), applied=True)


def _cut(r: random.Random) -> Cut:
    return Cut(
        plane=r.choice(["us-east-1", "us-west-2", "control-plane:us-west-2", "global"]),
        at=f"{r.choice([0, 1, 20, 60, 200])}s",
        lasts=f"{r.choice([1, 10, 60, 100000])}s",
        says=r.choice(["refused", "nothing"]),
    )


def _chance(r: random.Random) -> Chance:
    error = r.choice(["outcome_unknown", "hang", "throttled", "unavailable", "slow"])
    applied = error in {"outcome_unknown", "hang"} and r.random() < 0.7
    return Chance(
        share=r.choice([0.05, 0.2, 0.5]),
        error=error,
        applied=applied,
        late_s=r.choice([0.0, 5.0, 25.0]) if applied else 0.0,
    )


def _death(r: random.Random) -> Death:
    return Death(
        at_event=r.choice([1, 2, 3, r.randint(4, 12), r.randint(4, 60)]),
        how=r.choice(["before", "after", "after", "torn"]),
        down_s=r.choice([0.0, 0.5, 7.0, 120.0, 4000.0]),
        machine=r.choice(["same", "rebooted", "other"]),
    )


def _said(
    r: random.Random, steps: list[str], gates: list[str], kinds: set[str]
) -> tuple[Said, ...]:
    said = []
    for gate in gates:
        how = r.choice(["good", "late", "never", "deny", "one", "one"]) if "people" in kinds else ""
        at_s = r.uniform(10, 100)
        if how == "never":
            continue
        if how == "deny":
            said.append(Said(at_s=at_s, word="deny", step=gate, by="carol"))
            continue
        at_s += 300 if how == "late" else 0
        # Asked again after a death, they say it again.
        again_s = 15.0 if how in {"", "good"} else 0.0
        said.append(Said(at_s=at_s, word="approve", step=gate, by="alice", again_s=again_s))
        by = "alice" if how == "one" else "bob"
        said.append(Said(at_s=at_s + 1, word="approve", step=gate, by=by, again_s=again_s))
    if "orders" in kinds:
        for _ in range(r.randint(1, 5)):
            word = r.choice(["pause", "continue", "cancel", "retry", "skip", "note", "force"])
            at_s = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 600)])
            said.append(Said(at_s=at_s, word=word, step=r.choice(steps), by="dave"))
    return tuple(sorted(said, key=lambda one: (one.at_s, one.step, one.by)))


def behaviours(story: Story, base: dict[str, Behaviour]) -> dict[str, Behaviour]:
    """How the actions behave that night."""
    changed = dict(base)
    for name, fault in story.faults:
        one = changed.get(name, Behaviour())
        changed[name] = one.model_copy(update={"faults": (*one.faults, fault)})
    for name in story.blind:
        changed[name] = changed.get(name, Behaviour()).model_copy(update={"settled": "cannot_tell"})
    return changed
