"""I11 to I14, I17: when things start and stop, and who said so."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from drctl.lab.history.record import IRREVERSIBLE, Event, History, Violation, at

SETTLE_S = 30.0
PINS_S = 5.0
SLACK_S = 2.0

_DECISIONS = frozenset({"retry", "skip", "continue", "force"})


def bounded(history: History) -> Iterator[Violation]:
    """I11: no attempt lasts longer than it is given, the looking afterwards included."""
    begun: dict[str, Event] = {}
    unknown: set[str] = set()
    for event in history.journal:
        step = event.get("step", "")
        match event["type"]:
            case "step_started":
                begun[step] = event
            case "run_resumed" | "undo_requested":
                # What was under way is looked for, what had no intent is started over.
                begun = dict.fromkeys(begun.keys() | unknown, event)
            case "step_finished":
                since = begun.pop(step, None)
                unknown -= {step}
                if event["outcome"] == "unknown":
                    unknown.add(step)
                if since is None or not history.steps.get(step, {}).get("call"):
                    continue
                took_s, longest_s = _length(since, event), _longest_s(history, step)
                if took_s is not None and took_s > longest_s:
                    what = f"{step} took {took_s:.1f}s, {longest_s:.1f}s is the most it may"
                    yield Violation(promise="I11", what=what, evidence=(at(since), at(event)))


def _length(one: Event, other: Event) -> float | None:
    if one["at"]["boot_id"] != other["at"]["boot_id"]:
        return None
    return float(other["at"]["boot_s"] - one["at"]["boot_s"])


def _longest_s(history: History, name: str) -> float:
    step = history.steps[name]
    checks_s = sum(
        (check.get("timeout_s") or step["timeout_s"]) + SETTLE_S for check in step.get("verify", ())
    )
    pins_s = PINS_S if history.plan.get("pins") else 0.0
    # Taken up again, it is looked for as long as the step is given.
    own_s = max(step["timeout_s"], SETTLE_S) + SETTLE_S
    return float(own_s + checks_s + pins_s + SLACK_S)


def no_undo_behind(history: History) -> Iterator[Violation]:
    """I12: nothing before the point of no return is undone once that is passed."""
    done: list[str] = []
    passed: Event | None = None
    before: frozenset[str] = frozenset()
    undone: set[str] = set()
    for event in history.journal:
        step = event.get("step", "")
        match event["type"]:
            case "step_finished" if event["outcome"] in {"succeeded", "unknown"}:
                if history.steps.get(step, {}).get("effect") in IRREVERSIBLE:
                    passed, before = event, frozenset(done)
                done.append(step)
                undone.discard(step)
            case "step_finished":
                # It was unknown, and a look has found that it did not happen.
                passed = None if passed is not None and passed["step"] == step else passed
                done = [name for name in done if name != step]
            case "undo_started":
                if passed is not None and step in before | {passed["step"]}:
                    what = f"{step} was undone after the point of no return"
                    yield Violation(promise="I12", what=what, evidence=(at(passed), at(event)))
                yield from _newest_first(history, event, done, undone)
            case "undo_finished" if event["outcome"] == "succeeded":
                undone.add(step)


def _newest_first(
    history: History, event: Event, done: list[str], undone: set[str]
) -> Iterator[Violation]:
    for name in done:
        step = history.steps.get(name, {})
        is_left = name not in undone and step.get("undo") is not None
        if is_left and event["step"] in history.ancestors.get(name, ()):
            what = f"{event['step']} was undone while {name}, which needed it, was not"
            yield Violation(promise="I12", what=what, evidence=(at(event),))


def halts(history: History) -> Iterator[Violation]:
    """I13: after a failure or an unknown outcome nothing that changes anything begins."""
    halted: Event | None = None
    failures: Counter[str] = Counter()
    for event in history.journal:
        if event["type"] == "step_finished" and event["outcome"] == "failed":
            # One that a look did not find counts as none.
            failures[event["step"]] += event.get("error") != "interrupted"
        if event["type"] == "order_given" and event["order"] == "retry":
            failures[event["step"]] = 0
        match event["type"]:
            case "step_finished" if _halts(history, event, failures[event["step"]]):
                halted = halted or event
            case "order_given" if event["order"] in _DECISIONS:
                halted = None
            case "run_resumed":
                halted = None
            case "step_started" | "gate_opened" if halted is not None:
                step = history.steps.get(event["step"], {})
                if step.get("effect") not in {"read", "notify"} and not step.get("is_final"):
                    what = f"{event['step']} began, and {halted['step']} had {halted['outcome']}"
                    yield Violation(promise="I13", what=what, evidence=(at(halted), at(event)))
    yield from _needs_met(history)


def _halts(history: History, event: Event, failures: int) -> bool:
    step = history.steps.get(event["step"], {})
    if event["outcome"] not in {"failed", "unknown"} or step.get("effect") == "notify":
        return False
    if step.get("on_failure") == "continue" or event.get("error") in {"interrupted", "forced"}:
        return False
    retry = step.get("retry") or {}
    is_tried_again = (
        event["outcome"] == "failed"
        and event.get("error") in retry.get("on_errors", ())
        and failures < retry.get("attempts", 1)
    )
    return not is_tried_again


def _needs_met(history: History) -> Iterator[Violation]:
    """Whatever changes something does so only when all that it needs had come out well."""
    ends: dict[str, tuple[str, Event]] = {}
    for event in history.journal:
        step = event.get("step", "")
        match event["type"]:
            case "step_finished":
                is_forced = event.get("error") == "forced"  # a person's decision, as a skip is
                ends[step] = ("skipped" if is_forced else event["outcome"], event)
            case "effect_intended" if event["changes"] and not event.get("undoes"):
                for name in sorted(history.ancestors.get(step, ())):
                    need = history.steps[name]
                    is_free = need.get("effect") == "notify" or need["on_failure"] == "continue"
                    outcome, where = ends.get(name, ("nothing", event))
                    if need.get("gate") or is_free or outcome in {"succeeded", "skipped"}:
                        continue
                    what = f"{step} changed something, and {name}, which it needs, had {outcome}"
                    yield Violation(promise="I13", what=what, evidence=(at(where), at(event)))


def cooled_down(history: History) -> Iterator[Violation]:
    """I14: what was promoted a short while ago is promoted again only on purpose."""
    if history.start.get("again_reason"):
        return
    own = [one for one in history.intents if one["effect"] == "promote"]
    for run in history.others:
        targets = {
            one["target"]
            for one in run
            if one["type"] == "effect_intended" and one["effect"] == "promote"
        }
        for intent in own:
            if intent["target"] not in targets:
                continue
            # A wall clock that went back does not make an hour pass.
            latest = max(_wall(event) for event in run)
            if _wall(run[0]) > _wall(history.start):
                continue  # it came later: its own check is about us
            since_s = (max(_wall(history.start), latest) - latest).total_seconds()
            if since_s < history.cool_down_s:
                what = f"{intent['target']} was promoted again after {since_s:.0f}s"
                yield Violation(promise="I14", what=what, evidence=(at(intent),))


def _wall(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"]["wall"])


def approved(history: History) -> Iterator[Violation]:
    """I17: behind a gate nothing is sent before enough different people said go."""
    nonces: dict[str, Event] = {}
    for event in history.of("gate_answered"):
        nonce = event.get("nonce")
        if nonce and nonce in nonces:
            what = f"one statement was counted twice at {event['step']}"
            yield Violation(promise="I17", what=what, evidence=(at(nonces[nonce]), at(event)))
        if nonce:
            nonces[nonce] = event
    for intent in history.intents:
        if intent.get("undoes") or intent["effect"] == "notify":
            continue
        for name in sorted(history.ancestors.get(intent["step"], ())):
            if history.steps[name].get("gate") and not _is_open(history, name, intent["seq"]):
                what = f"{intent['step']} was sent, and gate {name} was not approved"
                yield Violation(promise="I17", what=what, evidence=(at(intent),))


def _is_open(history: History, gate: str, seq: int) -> bool:
    skipped = any(
        event["step"] == gate and event["outcome"] == "skipped"
        for event in history.before(seq, "step_finished")
    )
    return skipped or history.approval(gate, seq) is not None
