"""What one plan would do otherwise than another. Pure; the words for it are the view's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from drctl.kernel.canonical import canonical
from drctl.plan.outline import CallOutline, Outline, StepOutline, level_of
from drctl.plan.weaker import weaker

Sign: TypeAlias = Literal["+", "-", "~", ">"]
"""Added, removed, changed, moved."""
_SECONDS = {"estimate_s": "estimate", "timeout_s": "timeout", "expires_s": "expires after"}
_STEP_FIELDS = (
    "title",
    "effect",
    "gate",
    "when",
    "until",
    "estimate_s",
    "timeout_s",
    "on_failure",
    "needs",
    "show",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One thing of a step, a gate or a person that is another now."""

    name: str
    before: Any
    after: Any
    is_seconds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """A step, a gate or a person that is there in one plan only, or is another in each."""

    sign: Sign
    name: str
    about: str = ""
    """Of one that was added or removed: what it does."""
    fields: tuple[FieldChange, ...] = ()
    wave_before: int | None = None
    wave_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameChange:
    """Names that are in one plan only."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Everything that differs."""

    before: Outline
    after: Outline
    weaker: tuple[str, ...]
    """Sentences: guards that are gone or say less."""
    whole: tuple[FieldChange, ...]
    """Of the plan itself: objectives, limits, inputs."""
    steps: tuple[PartChange, ...]
    gates: tuple[PartChange, ...]
    people: tuple[PartChange, ...]
    targets: tuple[PartChange, ...]
    """Those that both name, and that are other things now."""
    reach: NameChange
    """Names of targets that a run changes."""
    no_way_back: NameChange
    planes: NameChange | None
    """``None``: one of the plans was not looked at."""
    findings: NameChange
    code: NameChange
    """Actions whose own source is another one."""
    seen: tuple[PartChange, ...]
    """What was observed otherwise: the world's doing, not the change's."""

    @property
    def is_same(self) -> bool:
        """True when nothing that a run would do differs; what was observed is not counted."""
        sets = (self.reach, self.no_way_back, self.planes, self.findings, self.code)
        parts = (self.whole, self.steps, self.gates, self.people, self.targets)
        times = (self.before.takes_s, tuple(self.before.critical_path))
        now = (self.after.takes_s, tuple(self.after.critical_path))
        return not any(sets) and not any(parts) and times == now

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        raw = {
            name: asdict(value) if isinstance(value, NameChange) else value
            for name in ("whole", "reach", "no_way_back", "planes", "findings", "code")
            for value in [getattr(self, name)]
        }
        raw["whole"] = [asdict(one) for one in self.whole]
        for name in ("steps", "gates", "people", "targets", "seen"):
            raw[name] = [asdict(one) for one in getattr(self, name)]
        return {
            "version": 1,
            "same": self.is_same,
            "before": _summed(self.before),
            "after": _summed(self.after),
            "weaker": list(self.weaker),
            **raw,
        }


def _summed(plan: Outline) -> dict[str, Any]:
    about = {"forecast_s", "critical_path", "runbook", "environment", "created_at", "drctl"}
    sums = {"takes_s": plan.takes_s, "spare_s": plan.spare_s}
    return plan.model_dump(mode="json", include=about) | sums


def compare(before: Outline, after: Outline) -> Diff:
    """Compares what two plans say."""
    planes = before.planes(), after.planes()
    return Diff(
        before=before,
        after=after,
        weaker=tuple(weaker(before, after)),
        whole=tuple(_whole(before, after)),
        steps=tuple(_steps(before, after)),
        gates=tuple(_parts(before.gates, after.gates)),
        people=tuple(_parts(before.people, after.people)),
        targets=tuple(one for one in _parts(before.targets, after.targets) if one.sign == "~"),
        reach=_set(before.reach(), after.reach()),
        no_way_back=_set(_irreversible(before), _irreversible(after)),
        planes=None if None in planes else _set(planes[0] or (), planes[1] or ()),
        findings=_set(_found(before), _found(after)),
        code=_code(before, after),
        seen=tuple(_seen(before, after)),
    )


def _whole(before: Outline, after: Outline) -> Iterator[FieldChange]:
    names = ("runbook", "environment", "world", "protected", "max_targets")
    yield from _fields(before, after, names)
    yield from _fields(before.objectives, after.objectives, ("starts_at", "stops_after"))
    for name, words in (("rto_s", "RTO"), ("rpo_s", "RPO"), ("detection_s", "detection")):
        yield from _field(words, before.objectives, after.objectives, name, is_seconds=True)
    yield from _field("plan expires after", before, after, "expires_after_s", is_seconds=True)
    yield from _mapping("inputs", before.inputs, after.inputs)


def _steps(before: Outline, after: Outline) -> Iterator[PartChange]:
    """In the order of the newer plan; what is gone comes where it was."""
    old, new = before.by_id, after.by_id
    waves = level_of(before.steps), level_of(after.steps)
    gone = [name for name in old if name not in new]
    for step in after.steps:
        was = old.get(step.id)
        at = waves[0].get(step.id), waves[1].get(step.id)
        if was is None:
            yield PartChange(sign="+", name=step.id, about=_about(step), wave_after=at[1])
            continue
        fields = tuple(_step_fields(was, step))
        has_moved = at[0] != at[1]
        if fields or has_moved:
            sign: Sign = "~" if fields else ">"
            yield PartChange(
                sign=sign, name=step.id, fields=fields, wave_before=at[0], wave_after=at[1]
            )
    for name in gone:
        wave = waves[0].get(name)
        yield PartChange(sign="-", name=name, about=_about(old[name]), wave_before=wave)


def _step_fields(was: StepOutline, now: StepOutline) -> Iterator[FieldChange]:
    yield from _fields(was, now, _STEP_FIELDS)
    yield from _fields(was.retry, now.retry, ("attempts", "on_errors"))
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
    for one in _fields(was, now, ("uses", "target")):
        yield FieldChange(name=f"{prefix}{one.name}", before=one.before, after=one.after)
    yield from _mapping(f"{prefix}with", was.with_, now.with_)


def _parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[PartChange]:
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield PartChange(sign="+" if was is None else "-", name=name, about=_title(was or now))
            continue
        fields = tuple(_mapping("", _raw(was), _raw(now)))
        if fields:
            yield PartChange(sign="~", name=name, fields=fields)


def _seen(before: Outline, after: Outline) -> Iterator[PartChange]:
    if before.is_offline or after.is_offline:
        return
    old = before.by_id
    for step in after.steps:
        if step.id in old:
            was, now = old[step.id].prediction, step.prediction
            fields = (*_fields(was, now, ("symbol",)), *_mapping("", was.facts, now.facts))
            if fields:
                yield PartChange(sign="~", name=step.id, fields=fields)
    bounds = before.loss and before.loss.bound_s, after.loss and after.loss.bound_s
    if bounds[0] != bounds[1]:
        bound = FieldChange(name="at most", before=bounds[0], after=bounds[1], is_seconds=True)
        yield PartChange(sign="~", name="data loss", fields=(bound,))


def _fields(was: BaseModel, now: BaseModel, names: Sequence[str]) -> Iterator[FieldChange]:
    for name in names:
        yield from _field(_SECONDS.get(name, name), was, now, name, is_seconds=name in _SECONDS)


def _field(
    words: str, was: BaseModel, now: BaseModel, name: str, *, is_seconds: bool = False
) -> Iterator[FieldChange]:
    values = getattr(was, name), getattr(now, name)
    if values[0] != values[1]:
        yield FieldChange(name=words, before=values[0], after=values[1], is_seconds=is_seconds)


def _mapping(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[FieldChange]:
    for key in dict.fromkeys((*was, *now)):
        values = was.get(key), now.get(key)
        # As they are written: to Python, 0 and false are the same value.
        if canonical(values[0]) != canonical(values[1]):
            words = f"{name}.{key}" if name else _SECONDS.get(key, key)
            is_seconds = not name and key in _SECONDS
            yield FieldChange(name=words, before=values[0], after=values[1], is_seconds=is_seconds)


def _about(step: StepOutline) -> str:
    if step.call is None:
        return f"a person decides: {step.gate}" if step.gate else step.title
    target = f" on {step.call.target}" if step.call.target else ""
    return f"{step.call.uses}{target}"


def _title(one: Any) -> str:
    return str(getattr(one, "title", ""))


def _raw(one: Any) -> Mapping[str, Any]:
    return one.model_dump(mode="json") if isinstance(one, BaseModel) else one


def _spelled(call: CallOutline) -> str:
    written = canonical(_raw(call)["with_"]).decode() if call.with_ else ""
    return f"{call.uses} {call.target or ''} {written}".strip()


def _irreversible(plan: Outline) -> list[str]:
    return [step.id for step in plan.steps if step.is_irreversible]


def _found(plan: Outline) -> list[str]:
    return [f"{one.id} {one.where}: {one.what}".replace(" :", ":") for one in plan.findings]


def _code(before: Outline, after: Outline) -> NameChange:
    both = before.code.keys() & after.code.keys()
    return NameChange(added=tuple(sorted(n for n in both if before.code[n] != after.code[n])))


def _set(before: Any, after: Any) -> NameChange:
    added, removed = sorted({*after} - {*before}), sorted({*before} - {*after})
    return NameChange(added=tuple(added), removed=tuple(removed))
