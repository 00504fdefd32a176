"""I22 and I23: times that cannot be, and numbers that the events do not bear out."""

from collections.abc import Iterator
from datetime import datetime

from drctl.lab.history.data import measured, settled
from drctl.lab.history.record import Event, History, Violation, at

_EXACT_S = 1e-4
"""A record keeps microseconds; sums of them differ by less than this."""


def in_order(history: History) -> Iterator[Violation]:
    """I22: order is the sequence number, boot time never goes back, no length is negative."""
    latest: dict[str, Event] = {}
    for number, event in enumerate(history.journal, start=1):
        if event["seq"] != number:
            what = f"line {number} has the sequence number {event['seq']}"
            yield Violation(promise="I22", what=what)
        boot = event["at"]["boot_id"]
        if boot in latest and event["at"]["boot_s"] < latest[boot]["at"]["boot_s"]:
            what = "boot time went back"
            yield Violation(promise="I22", what=what, evidence=(at(latest[boot]), at(event)))
        latest[boot] = event
        for name in ("elapsed_before_s", "rta_s", "loss_bound_s", "retry_after_s"):
            value = event.get(name)
            if isinstance(value, int | float) and value < 0:
                what = f"{name} is {value}"
                yield Violation(promise="I22", what=what, evidence=(at(event),))
    yield from _doubtful(history)


def _doubtful(history: History) -> Iterator[Violation]:
    """A length across boots is said to be uncertain."""
    for event in history.of("service_restored", "run_finished"):
        if event.get("rta_s") is None:
            continue
        says = event.get("is_certain", event.get("rta_is_certain", True))
        said = next(history.before(event["seq"], "service_restored"), event)
        if says and not _restored(history, said["seq"])[1]:
            what = "a length across two boots is given as certain"
            yield Violation(promise="I22", what=what, evidence=(at(event),))


def numbers(history: History) -> Iterator[Violation]:
    """I23: what is reported is what the events say, and nothing is where they say nothing."""
    for event in history.of("service_restored", "run_finished"):
        said = next(history.before(event["seq"], "service_restored"), None)
        if event["type"] == "run_finished" and said is not None:
            known_s = said["rta_s"]  # once it is proven the clock stands
        else:
            known_s, _is_certain = _restored(history, event["seq"])
        if event["rta_s"] is None and event["type"] == "run_finished" and known_s is None:
            continue
        if event["rta_s"] is None or known_s is None or abs(event["rta_s"] - known_s) > _EXACT_S:
            what = f"the recovery took {_said(known_s)}, reported is {_said(event['rta_s'])}"
            yield Violation(promise="I23", what=what, evidence=(at(event),))
    for event in history.of("run_finished"):
        bound_s, _where = measured(history, event["seq"])
        if event["loss_bound_s"] != bound_s:
            what = f"the loss was {_said(bound_s)}, reported is {_said(event['loss_bound_s'])}"
            yield Violation(promise="I23", what=what, evidence=(at(event),))
        if event["changed"] != _changed(history, event["seq"]):
            what = f"changed is reported as {event['changed']}"
            yield Violation(promise="I23", what=what, evidence=(at(event),))


def _said(seconds: float | None) -> str:
    return "not measured" if seconds is None else f"{seconds:.6f}s"


def _changed(history: History, seq: int) -> bool:
    """True once an effect was meant, or a person did what he was asked to."""
    for event in history.before(seq, "effect_intended", "gate_answered"):
        if event["type"] == "effect_intended" and event["changes"]:
            return True
        effect = history.steps.get(event["step"], {}).get("effect", "read")
        if event["type"] == "gate_answered" and effect not in {"read", "notify"}:
            return history.approval(event["step"], seq) is not None
    return False


def _restored(history: History, seq: int) -> tuple[float | None, bool]:
    """When the last of the proving steps had succeeded, and whether one boot clock says so."""
    # What is taken back restores nothing, whatever is found out about it then.
    seq = min([seq, *(one["seq"] for one in history.of("undo_requested"))])
    moments: list[tuple[float, bool]] = []
    for name in history.plan["objectives"]["stops_after"]:
        end = settled(history, name, seq)
        if end is None:
            return None, True
        if end.get("outcome") == "skipped":
            continue
        if end["type"] != "gate_answered" and end["outcome"] != "succeeded":
            return None, True
        moments.append(_elapsed(history, end))
    if not moments:
        return None, True
    return max(moments)[0], all(is_certain for _seconds, is_certain in moments)


def _elapsed(history: History, event: Event) -> tuple[float, bool]:
    """Length of the incident at an event: in a boot by its clock, between boots by wall clocks."""
    anchors: dict[str, tuple[float, float, bool]] = {}
    before: Event | None = None
    passed_s = float(history.start.get("elapsed_before_s", 0.0))
    is_certain = True
    for one in history.journal:
        moment = one["at"]
        if moment["boot_id"] not in anchors:
            if before is not None:
                wall = datetime.fromisoformat(moment["wall"])
                gap_s = (wall - datetime.fromisoformat(before["at"]["wall"])).total_seconds()
                passed_s, is_certain = passed_s + max(0.0, gap_s), False
            anchors[moment["boot_id"]] = (moment["boot_s"], passed_s, is_certain)
        first_s, began_s, is_certain = anchors[moment["boot_id"]]
        passed_s = began_s + moment["boot_s"] - first_s
        if one["seq"] == event["seq"]:
            break
        before = one
    return passed_s, is_certain
