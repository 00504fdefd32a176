"""What a checker is given, as plain data, and small questions to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

Event: TypeAlias = Mapping[str, Any]
"""A line of a journal: ``seq``, ``type``, ``at``, and what the event says."""

IRREVERSIBLE = frozenset({"promote", "destroy"})
CHANGING = frozenset({"change", "traffic", "fence", "promote", "destroy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken, and by what one can see it."""

    promise: str
    """``I1`` to ``I38``."""
    what: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" [{'; '.join(self.evidence)}]" if self.evidence else ""
        return f"{self.promise}: {self.what}{shown}"


@dataclass(frozen=True, kw_only=True)
class History:
    """One run, and what the other sides have to say about it."""

    journal: Sequence[Event]
    plan: Mapping[str, Any]
    ledger: Sequence[Mapping[str, Any]] = ()
    """Lines of `drctl.kernel.ledger`, of all runs, in the order in which they were written."""
    acknowledged: Sequence[Mapping[str, Any]] = ()
    """
    Writes that a client was told are done: ``id``, ``node``, ``acked_boot_s``, ``boot_id``, and
    ``survived``: whether the database that the service now runs on has it.
    """
    probes: Sequence[Mapping[str, Any]] = ()
    """
    Attempts to write to a node itself: ``node``, ``boot_s``, ``boot_id``, ``wrote`` (true or
    false).
    """
    old_primary: str = ""
    """The node that is to be left."""
    repeats: Mapping[str, str] = field(default_factory=dict)
    """What a second call of each action would do (`drctl.actions.contract.Repeat`)."""
    others: Sequence[Sequence[Event]] = ()
    """Journals of other runs against the same estate."""
    cool_down_s: float = 3600.0
    is_complete: bool = False
    """The ledger has every effect of every action, with its key (a simulated estate's has)."""

    @cached_property
    def steps(self) -> dict[str, Mapping[str, Any]]:
        """The plan's steps by id."""
        return {step["id"]: step for step in self.plan["steps"]}

    @cached_property
    def intents(self) -> list[Event]:
        """Every intended effect."""
        return list(self.of("effect_intended"))

    @cached_property
    def keys(self) -> dict[str, Event]:
        """The first intent with each idempotency key."""
        found: dict[str, Event] = {}
        for intent in self.intents:
            found.setdefault(intent["key"], intent)
        return found

    @cached_property
    def start(self) -> Event:
        """How the run started."""
        return next(self.of("run_started"), {})

    @cached_property
    def end(self) -> Event | None:
        """How the run ended, as far as it has."""
        last = self.journal[-1] if self.journal else {}
        return last if last.get("type") == "run_finished" else None

    def of(self, *types: str) -> Iterator[Event]:
        """The events of these types, in order."""
        return (event for event in self.journal if event["type"] in types)

    def before(self, seq: int, *types: str) -> Iterator[Event]:
        """The events of these types before one, latest first."""
        return (
            event
            for event in reversed(self.journal)
            if event["seq"] < seq and (not types or event["type"] in types)
        )

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """All that each step needs, also by way of others."""
        found: dict[str, frozenset[str]] = {}

        def of(name: str) -> frozenset[str]:
            if name not in found:
                needs = self.steps[name].get("needs", ())
                found[name] = frozenset(needs).union(*(of(need) for need in needs))
            return found[name]

        for name in self.steps:
            of(name)
        return found

    def place(self, entry: Mapping[str, Any], *, sent: bool = False) -> float:
        """How many records the journal had when a change was made (or its request sent)."""
        at_s = entry.get("sent_s") if sent else None
        if at_s is None:
            if entry.get("after_seq") is not None:
                return float(entry["after_seq"])
            at_s = entry["boot_s"]
        # Else by the boot clock that both have read.
        seqs = [
            event["seq"]
            for event in self.journal
            if event["at"]["boot_id"] == entry["boot_id"] and event["at"]["boot_s"] <= at_s
        ]
        return float(max(seqs, default=0))

    def is_forced(self, seq: int) -> bool:
        """True when a person took it upon himself, with a reason, that nothing is proven."""
        if self.start.get("forced_reason"):
            return True
        return any(
            order["order"] == "force" and order.get("reason")
            for order in self.before(seq, "order_given")
        )

    def succeeded_at(self, step: str, seq: int) -> bool:
        """True when the step had succeeded before *seq*, and was not undone since."""
        if self.steps.get(step, {}).get("gate"):
            return self.approval(step, seq) is not None
        for event in self.before(seq, "step_finished", "undo_finished"):
            if event.get("step") != step:
                continue
            if event["type"] == "undo_finished":
                if event["outcome"] in {"succeeded", "unknown"}:
                    return False
                continue
            return bool(event["outcome"] == "succeeded")
        return False

    def approval(self, gate: str, seq: int) -> Event | None:
        """The answer before *seq* with which enough different people had said go."""
        people: set[str] = set()
        quorum, found = 1, None
        asked = self.plan["gates"].get(self.steps[gate]["gate"], {}).get("quorum", 1)
        for event in self.journal:
            if event["seq"] >= seq:
                break
            if event.get("step") != gate:
                continue
            match event["type"]:
                case "gate_opened":
                    people, quorum, found = set(), max(asked, event.get("quorum", 1)), None
                case "gate_answered" if event["answer"] == "approve":
                    people.add(event.get("person") or event["by"])
                    found = found or (event if len(people) >= quorum else None)
                case "gate_answered" | "gate_expired":
                    people, found = set(), None
        return found


def at(event: Event) -> str:
    """Names an event in evidence."""
    step = f" {event['step']}" if event.get("step") else ""
    return f"{event['seq']} {event['type']}{step}"


def written(entry: Mapping[str, Any]) -> str:
    """Names a line of the ledger in evidence."""
    return f"{entry['operation']} on {entry['target']} at {entry['boot_s']:.3f}"
