"""What the steps of one plan do otherwise than those of another. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from drctl.kernel.canonical import canonical
from drctl.kernel.duration import format_duration
from drctl.plan.diff_parts import FieldChange, PartChange, Sign, field, fields, mapping, raw
from drctl.plan.outline import CallOutline, Outline, StepOutline, level_of

_FIELDS = (
    "title",
    "effect",
    "gate",
    "when",
    "until",
    "every_s",
    "estimate_s",
    "timeout_s",
    "on_failure",
    "show",
)
_IN_WORDS = {
    "is_final": "finally",
    "measures_loss": "measures the loss",
    "proves_one_primary": "proves one primary",
    "no_way_back": "no way back",
}


def steps(before: Outline, after: Outline, names: Mapping[str, str]) -> Iterator[PartChange]:
    """
    In the order of the newer plan, then what is gone.

    Args:
        before: With the ids of the newer plan, where the same step has another there.
        names: Those new ids by the old ones.
    """
    abouts = {now: f"renamed {was} to {now}" for was, now in names.items()}
    old, new = before.by_id, after.by_id
    waves = _waves(before.steps), _waves(after.steps)
    for step in after.steps:
        was = old.get(step.id)
        at = waves[0].get(step.id), waves[1].get(step.id)
        if was is None:
            yield PartChange(sign="+", name=step.id, about=_about(step), wave_after=at[1])
            continue
        changed = tuple(_fields(was, step))
        about, has_moved = abouts.get(step.id, ""), at[0] != at[1]
        if changed or about or has_moved:
            sign: Sign = "~" if changed or about else ">"
            yield PartChange(
                sign=sign,
                name=step.id,
                about=about,
                fields=changed,
                wave_before=at[0],
                wave_after=at[1],
            )
    for name in old:
        if name not in new:
            wave = waves[0].get(name)
            yield PartChange(sign="-", name=name, about=_about(old[name]), wave_before=wave)


def _waves(those: Sequence[StepOutline]) -> dict[str, int]:
    """Without ``finally``: that is behind all of them, whatever it waits for."""
    return level_of([step for step in those if not step.is_final])


def _fields(was: StepOutline, now: StepOutline) -> Iterator[FieldChange]:
    yield from fields(was, now, _FIELDS)
    if sorted(was.needs) != sorted(now.needs):
        yield FieldChange(name="needs", before=list(was.needs), after=list(now.needs))
    for name, words in _IN_WORDS.items():
        yield from field(words, was, now, name)
    yield from fields(was.retry, now.retry, ("attempts", "backoff_s", "max_backoff_s", "on_errors"))
    yield from _call("", was.call, now.call)
    yield from _call("undo ", was.undo, now.undo)
    checks = [_spelled(call) for call in was.verify], [_spelled(call) for call in now.verify]
    if checks[0] != checks[1]:
        yield FieldChange(name="verify", before=checks[0], after=checks[1])


def _call(prefix: str, was: CallOutline | None, now: CallOutline | None) -> Iterator[FieldChange]:
    if was is None or now is None:
        if was is not now:
            names = was.uses if was else None, now.uses if now else None
            yield FieldChange(name=prefix.strip() or "uses", before=names[0], after=names[1])
        return
    for one in fields(was, now, ("uses", "target")):
        yield FieldChange(name=f"{prefix}{one.name}", before=one.before, after=one.after)
    if prefix:  # a step's own call has the timeout of the step
        yield from field(f"{prefix}timeout", was, now, "timeout_s", is_seconds=True)
    yield from mapping(f"{prefix}with", was.with_, now.with_)


def _about(step: StepOutline) -> str:
    where = "finally: " if step.is_final else ""
    if step.call is None:
        return where + (f"a person decides: {step.gate}" if step.gate else step.title)
    target = f" on {step.call.target}" if step.call.target else ""
    return f"{where}{step.call.uses}{target}"


def _spelled(call: CallOutline) -> str:
    written = canonical(raw(call)["with_"]).decode() if call.with_ else ""
    within = "" if call.timeout_s is None else f"within {format_duration(call.timeout_s)}"
    return " ".join(word for word in (call.uses, call.target, written, within) if word)
