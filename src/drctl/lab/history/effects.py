"""I6 to I10: nothing is sent that was not written down first, nothing twice, nothing by others."""

from collections import Counter
from collections.abc import Iterator, Sequence

from drctl.lab.history.record import Event, History, Violation, at, written

ONCE = frozenset({"keyed", "check_then_act", "irreversible"})
"""What must take effect at most once for each key; the rest may be repeated."""
LOOK_FIRST = ONCE - {"keyed"}
"""What must not be sent again unseen: the other side does not know that it has had it."""


def intended_first(history: History) -> Iterator[Violation]:
    """I6: every change has an intent before it."""
    others = {event["key"] for run in history.others for event in run if "key" in event}
    for entry in history.ledger:
        key = entry.get("key", "")
        if key in others:
            continue
        arrived = history.place(entry, sent=True)
        own = [one for one in history.intents if one["seq"] <= arrived]
        if key:
            own = [one for one in own if one["key"] == key]
        else:
            # Without a key: something that works with that side must at least have begun.
            side = entry["where"].partition(" ")[0]
            own = [one for one in own if one["action"].partition(".")[0] == side]
        if history.is_complete:
            own = [one for one in own if one["target"] == entry["target"]]
        if not own:
            what = f"{entry['operation']} took effect, and nothing on record meant it to"
            yield Violation(promise="I6", what=what, evidence=(written(entry),))


def at_most_once(history: History) -> Iterator[Violation]:
    """I7: what must not be repeated was not, whoever died meanwhile."""
    counts = Counter(entry["key"] for entry in history.ledger if entry.get("key"))
    for key, count in counts.items():
        intent = history.keys.get(key)
        if intent is None or count == 1:
            continue
        if history.repeats.get(intent["action"], "irreversible") in ONCE:
            what = f"{intent['step']}: {intent['action']} took effect {count} times"
            yield Violation(promise="I7", what=what, evidence=(at(intent),))


def never_blindly(history: History) -> Iterator[Violation]:
    """I8: after an unknown outcome nothing is sent again before somebody has looked."""
    unknown: dict[str, Event] = {}
    begun: dict[str, Event] = {}
    for event in history.journal:
        step = event.get("step", "")
        match event["type"]:
            case "step_started":
                begun[step] = event
                if step in unknown:
                    what = f"{step} was started again while its outcome was unknown"
                    yield Violation(
                        promise="I8", what=what, evidence=(at(unknown[step]), at(event))
                    )
            case "step_finished" if event["outcome"] == "unknown":
                unknown[step] = event
            case "step_finished":
                unknown.pop(step, None)
            case "order_given" if event["order"] in {"retry", "skip"}:
                unknown.pop(step, None)  # a person has decided
            case "effect_intended" if step in begun and not event.get("undoes"):
                if event["attempt"] != begun[step]["attempt"]:
                    what = f"{step} sent something outside of its attempt"
                    yield Violation(promise="I8", what=what, evidence=(at(event),))
    yield from _looked_first(history)


def _looked_first(history: History) -> Iterator[Violation]:
    """What a dead process had begun, and must not be repeated, is looked for before that."""
    open_: dict[str, Event] = {}
    died: dict[str, Event] = {}
    for event in history.journal:
        match event["type"]:
            case "effect_intended" if history.repeats.get(event["action"]) in LOOK_FIRST:
                key = event["key"]
                if key in died and event["effect"] != "read":
                    what = f"{event['step']} was sent again, and nobody had looked for it"
                    yield Violation(promise="I8", what=what, evidence=(at(died[key]), at(event)))
                open_[key] = event
            case "step_finished" | "undo_finished":
                for known in (open_, died):
                    for key in [k for k, one in known.items() if one["step"] == event["step"]]:
                        del known[key]
            case "run_resumed" | "undo_requested":
                died |= open_


def alone(history: History) -> Iterator[Violation]:
    """I9: two runs never take turns at one target."""
    if not history.others:
        return
    owner = dict.fromkeys(history.keys, 0)
    for number, run in enumerate(history.others, start=1):
        owner |= {event["key"]: number for event in run if event["type"] == "effect_intended"}
    seen: dict[str, list[int]] = {}
    sent = sorted(history.ledger, key=lambda one: one.get("sent_s", one["boot_s"]))
    for entry in sent:
        run_number = owner.get(entry.get("key", ""))
        facet = entry.get("applied", {}).get("facet")
        if run_number is None or facet == "":
            continue
        turns = seen.setdefault(entry["target"], [])
        if run_number in turns and turns[-1] != run_number:
            what = f"two runs took turns at {entry['target']}"
            yield Violation(promise="I9", what=what, evidence=(written(entry),))
        if not turns or turns[-1] != run_number:
            turns.append(run_number)


def within_lease(history: History) -> Iterator[Violation]:
    """I10: nothing is sent once the lease is lost."""
    for lost in _losses(history.journal):
        back = next(
            (one["seq"] for one in history.of("lease_held") if one["seq"] > lost["seq"]),
            len(history.journal) + 1,
        )
        for entry in history.ledger:
            is_own = entry.get("key", "") in history.keys
            if is_own and lost["seq"] < history.place(entry, sent=True) < back:
                what = f"{entry['operation']} was sent after the lease was lost"
                yield Violation(promise="I10", what=what, evidence=(at(lost), written(entry)))


def _losses(journal: Sequence[Event]) -> list[Event]:
    return [event for event in journal if event["type"] == "lease_lost"]
