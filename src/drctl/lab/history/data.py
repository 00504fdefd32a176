"""I1 to I4: no write is lost that was promised, and there is one primary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drctl.lab.history.record import Event, History, Violation, at, written

ANY_LOSS_S = 1e12
_ROUNDING_S = 0.001


def fenced_first(history: History) -> Iterator[Violation]:
    """I1: nothing is promoted while the old primary may take writes."""
    for intent in _promotions(history):
        if history.is_forced(intent["seq"]):
            continue
        fences = _fences(history, intent["step"])
        proven = [name for name in fences if history.succeeded_at(name, intent["seq"])]
        if not proven or len(proven) < len(fences):
            what = f"{intent['step']} promoted, and no fence before it had succeeded"
            yield Violation(promise="I1", what=what, evidence=(at(intent),))
        elif history.is_complete:
            yield from _fenced_in_truth(history, intent, proven)
    yield from _written_after(history)


def _fenced_in_truth(history: History, intent: Event, fences: Sequence[str]) -> Iterator[Violation]:
    """What the record says of the fence, the other side must say too."""
    keys = {one["key"] for one in history.intents if one["step"] in fences}
    for number, entry in enumerate(history.ledger):
        if entry.get("key") != intent["key"]:
            continue
        if not any(before.get("key") in keys for before in history.ledger[:number]):
            what = f"{intent['step']} took effect, and no fence had before it"
            yield Violation(promise="I1", what=what, evidence=(written(entry),))


def _written_after(history: History) -> Iterator[Violation]:
    fence = _fence_moment(history)
    if fence is None or not history.old_primary:
        return
    for write in history.acknowledged:
        is_old = write["node"] == history.old_primary
        if is_old and _is_later(write, "acked_boot_s", fence):
            what = f"the old primary acknowledged {write['id']} after it was fenced"
            yield Violation(promise="I1", what=what, evidence=(at(fence),))
    for probe in history.probes:
        is_old = probe["node"] == history.old_primary and probe["wrote"]
        if is_old and _is_later(probe, "boot_s", fence):
            what = "a probe could write to the old primary after it was fenced"
            yield Violation(promise="I1", what=what, evidence=(at(fence),))


def _fence_moment(history: History) -> Event | None:
    for event in history.of("step_finished"):
        step = history.steps.get(event["step"], {})
        if step.get("effect") == "fence" and event["outcome"] == "succeeded":
            return event
    return None


def _is_later(reading: Mapping[str, Any], name: str, event: Event) -> bool:
    is_same = reading.get("boot_id", event["at"]["boot_id"]) == event["at"]["boot_id"]
    return bool(is_same and reading[name] > event["at"]["boot_s"])


def loss_is_bound(history: History) -> Iterator[Violation]:
    """I2: nothing is promoted on a loss that is too large or unknown; the bound is one."""
    rpo_s = history.plan["objectives"]["rpo_s"]
    start = history.start
    accepted_s = (start.get("accepted_loss_s") or 0.0) if start.get("accepted_reason") else 0.0
    for intent in _promotions(history):
        if history.is_forced(intent["seq"]):
            continue
        bound_s, event = measured(history, intent["seq"])
        if event is None:
            what = f"{intent['step']} promoted, and nothing had measured the loss"
        elif bound_s is None and accepted_s < ANY_LOSS_S:
            what = f"{intent['step']} promoted on a loss that is unknown"
        elif bound_s is not None and bound_s > max(rpo_s, accepted_s):
            what = f"{intent['step']} promoted on a loss of {bound_s}s, {rpo_s}s allowed"
        else:
            continue
        yield Violation(promise="I2", what=what, evidence=(at(intent),))
    yield from _bound_holds(history)


def _bound_holds(history: History) -> Iterator[Violation]:
    end = history.end
    writes = [one for one in history.acknowledged if one["node"] == history.old_primary]
    lost = [one["acked_boot_s"] for one in writes if not one["survived"]]
    if not lost or end is None or not any(_promotions(history)):
        return
    real_s = max(one["acked_boot_s"] for one in writes) - min(lost)
    bound_s = end["loss_bound_s"]
    if bound_s is not None and real_s > bound_s + _ROUNDING_S:
        what = f"writes of {real_s:.3f}s were lost, the bound said {bound_s:.3f}s"
        yield Violation(promise="I2", what=what, evidence=(at(end),))


def measured(history: History, seq: int) -> tuple[float | None, Event | None]:
    """The bound on lost writes as known before *seq*, and where it comes from."""
    for event in history.before(seq, "step_finished", "run_resumed", "order_given"):
        if event["type"] == "order_given":
            # A person has changed what was decided upon: it is measured once more.
            if _measures_again(history, event):
                return None, None
            continue
        if event["type"] == "run_resumed":
            # While nothing is fenced, what was measured before is old.
            if not any(
                history.succeeded_at(name, event["seq"])
                for name, step in history.steps.items()
                if step.get("effect") in {"fence", "promote"}
            ):
                return None, None
            continue
        step = history.steps.get(event["step"], {})
        if step.get("measures_loss") and event["outcome"] == "succeeded":
            bound = event["outputs"].get("bound")
            is_number = isinstance(bound, int | float) and not isinstance(bound, bool)
            return (float(bound) if is_number and bound >= 0 else None), event
    return None, None


def _measures_again(history: History, order: Event) -> bool:
    measuring = {name for name, step in history.steps.items() if step.get("measures_loss")}
    if order["order"] == "retry":
        return order["step"] in measuring and history.succeeded_at(order["step"], order["seq"])
    if order["order"] != "force":
        return False
    before = {
        need
        for name, step in history.steps.items()
        if step.get("effect") == "promote"
        for need in history.ancestors[name]
    }
    return any(history.succeeded_at(name, order["seq"]) for name in measuring & before)


def right_candidate(history: History) -> Iterator[Violation]:
    """I3: what is changed is what the environment means, asked for in this process."""
    pins = history.plan.get("pins", ())
    for intent in history.intents:
        step = history.steps.get(intent["step"], {})
        call = (step.get("undo") if intent.get("undoes") else step.get("call")) or {}
        due = {
            (pin["name"], pin["subject"])
            for pin in pins
            if intent["changes"] and call.get("target") in pin["targets"]
        }
        for check in history.before(intent["seq"], "pin_checked", "run_resumed"):
            if check["type"] == "run_resumed":
                break
            if (check["name"], check["subject"]) not in due:
                continue
            due.discard((check["name"], check["subject"]))
            if check["verdict"] == "mismatch":
                what = f"{intent['step']} went on at another {check['name']}"
                yield Violation(promise="I3", what=what, evidence=(at(check), at(intent)))
        if due:
            what = f"{intent['step']} changed something that nobody had identified"
            yield Violation(promise="I3", what=what, evidence=(at(intent), str(sorted(due))))


def one_primary(history: History) -> Iterator[Violation]:
    """I4: a run that promoted ends well only when the result was proven."""
    end = history.end
    if end is None or end["result"] != "succeeded":
        return
    for name, step in history.steps.items():
        outcome = outcome_of(history, name)
        is_work = not step.get("is_final") and step.get("effect") != "notify"
        is_allowed = step.get("on_failure") == "continue" and outcome in {"failed", "unknown"}
        if is_work and outcome not in {"succeeded", "skipped"} and not is_allowed:
            what = f"succeeded, and step {name} had not"
            yield Violation(promise="I4", what=what, evidence=(at(end), str(outcome)))
        is_skipped_proof = outcome == "skipped" and any(_promotions(history))
        if step.get("proves_one_primary") and is_skipped_proof:
            what = f"succeeded, and {name}, which proves one primary, was skipped"
            yield Violation(promise="I4", what=what, evidence=(at(end),))
    proofs = history.plan["objectives"]["stops_after"]
    if proofs and not any(outcome_of(history, name) == "succeeded" for name in proofs):
        what = "succeeded, and no step that proves service had"
        yield Violation(promise="I4", what=what, evidence=(at(end),))
    primaries = {
        one["node"] for one in history.probes if one["wrote"] and _is_later(one, "boot_s", end)
    }
    if len(primaries) > 1:
        what = f"succeeded, and {len(primaries)} nodes take writes"
        yield Violation(promise="I4", what=what, evidence=tuple(sorted(primaries)))


def outcome_of(history: History, name: str) -> str | None:
    """How a step stands at the end; ``None``: it never came to an end."""
    end = settled(history, name, len(history.journal) + 1)
    if end is None:
        return None
    if end["type"] == "gate_answered":
        return "succeeded"
    # A person has ended the waiting for it: that is his decision, as a skip is.
    return "skipped" if end.get("error") == "forced" else str(end["outcome"])


def settled(history: History, name: str, seq: int) -> Event | None:
    """The event before *seq* with which a step, or a gate, came to its end."""
    ends = (one for one in history.before(seq, "step_finished") if one["step"] == name)
    end = next(ends, None)
    if end is None and history.steps.get(name, {}).get("gate"):
        return history.approval(name, seq)
    return end


def _promotions(history: History) -> Iterator[Event]:
    return (
        intent
        for intent in history.intents
        if intent["effect"] == "promote" and not intent.get("undoes")
    )


def _fences(history: History, step: str) -> list[str]:
    return [
        name
        for name in sorted(history.ancestors.get(step, ()))
        if history.steps[name].get("effect") == "fence"
    ]
