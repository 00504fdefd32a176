"""What one plan would do otherwise than another. Pure; the words for it are the view's."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drctl.plan.diff_parts import (
    FieldChange,
    NameChange,
    PartChange,
    field,
    fields,
    mapping,
    names_of,
    parts,
    raw,
)
from drctl.plan.diff_steps import steps
from drctl.plan.outline import Outline
from drctl.plan.renames import renamed, renames
from drctl.plan.weaker import weaker

UNNAMED = "it differs in what this list does not name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Everything that differs."""

    before: Outline
    after: Outline
    weaker: tuple[str, ...]
    """Sentences: guards that are gone or say less."""
    whole: tuple[FieldChange, ...]
    """Of the plan itself: objectives, limits, inputs, the lease."""
    steps: tuple[PartChange, ...]
    gates: tuple[PartChange, ...]
    people: tuple[PartChange, ...]
    targets: tuple[PartChange, ...]
    """Those that both name, and that are other things now."""
    pins: tuple[PartChange, ...]
    """With what they found, where both plans looked: of a pin that does not hold, a run stops."""
    reach: NameChange
    """Names of targets that a run changes."""
    no_way_back: NameChange
    planes: NameChange | None
    """``None``: one of the plans was not looked at."""
    findings: NameChange
    """One that is waived now is neither gone nor new: it stands under the waivers."""
    waivers: tuple[PartChange, ...]
    code: NameChange
    """Actions whose own source is another one."""
    seen: tuple[PartChange, ...]
    """What was observed otherwise: the world's doing, not the change's."""

    @property
    def unnamed(self) -> tuple[str, ...]:
        """
        Sentences for what is known to differ and stands in no list: the net under all of them.
        """
        old, new = self.before, self.after
        found = []
        if old.environment == new.environment and old.environment_sha256 != new.environment_sha256:
            found.append("the environment's file differs, also where no plan shows it")
        if not self._is_listed:
            if old.substance != new.substance:
                found.append(UNNAMED)
            elif old.runbook_texts != new.runbook_texts:
                found.append("the runbook's text differs, and this list does not name what in it")
        return tuple(found)

    @property
    def _is_listed(self) -> bool:
        """True when anything that a run would do stands in a list."""
        sets = (self.reach, self.no_way_back, self.planes, self.findings, self.code)
        lists = (self.whole, self.steps, self.gates, self.people, self.targets)
        more = (self.pins, self.waivers, self.weaker)
        times = (self.before.takes_s, tuple(self.before.critical_path))
        now = (self.after.takes_s, tuple(self.after.critical_path))
        return any(sets) or any(lists) or any(more) or times != now

    @property
    def is_same(self) -> bool:
        """True when nothing that a run would do differs; what was observed is not counted."""
        return not self._is_listed and not self.unnamed

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        found: dict[str, Any] = {
            "version": 1,
            "same": self.is_same,
            "before": _summed(self.before),
            "after": _summed(self.after),
            "weaker": list(self.weaker),
            "unnamed": list(self.unnamed),
        }
        for name in ("whole", "steps", "gates", "people", "targets", "pins", "waivers", "seen"):
            found[name] = [asdict(one) for one in getattr(self, name)]
        for name in ("reach", "no_way_back", "planes", "findings", "code"):
            value = getattr(self, name)
            found[name] = None if value is None else asdict(value)
        return found


def _summed(plan: Outline) -> dict[str, Any]:
    about = {"forecast_s", "critical_path", "runbook", "environment", "created_at", "drctl"}
    sums = {"takes_s": plan.takes_s, "spare_s": plan.spare_s}
    return plan.model_dump(mode="json", include=about) | sums


def compare(before: Outline, after: Outline) -> Diff:
    """Compares what two plans say."""
    names = renames(before, after)
    old = renamed(before, names)
    planes = before.planes(), after.planes()
    is_looked_at = not before.is_offline and not after.is_offline
    return Diff(
        before=before,
        after=after,
        weaker=tuple(weaker(old, after)),
        whole=tuple(_whole(old, after)),
        steps=tuple(steps(old, after, names)),
        gates=tuple(parts(old.gates, after.gates)),
        people=tuple(parts(before.people, after.people)),
        targets=tuple(one for one in parts(before.targets, after.targets) if one.sign == "~"),
        pins=tuple(parts(*(_pins(plan, is_looked_at) for plan in (before, after)))),
        reach=names_of(before.reach(), after.reach()),
        no_way_back=names_of(_irreversible(old), _irreversible(after)),
        planes=None if None in planes else names_of(planes[0] or (), planes[1] or ()),
        findings=_findings(old, after),
        waivers=tuple(_waivers(old, after)),
        code=_code(before, after),
        seen=tuple(_seen(old, after)),
    )


def _whole(before: Outline, after: Outline) -> Iterator[FieldChange]:
    names = ("runbook", "title", "scenario", "environment", "world", "protected", "max_targets")
    yield from fields(before, after, (*names, "resolvers"))
    yield from fields(before.objectives, after.objectives, ("starts_at", "stops_after"))
    for name, words in (("rto_s", "RTO"), ("rpo_s", "RPO"), ("detection_s", "detection")):
        yield from field(words, before.objectives, after.objectives, name, is_seconds=True)
    yield from field("plan expires after", before, after, "expires_after_s", is_seconds=True)
    yield from mapping("inputs", before.inputs, after.inputs)
    for scope in before.scopes.keys() & after.scopes.keys():
        was, now = before.scopes[scope], after.scopes[scope]
        yield from mapping(f"included {scope}", raw(was), raw(now))
    yield from _lease(before, after)


def _lease(before: Outline, after: Outline) -> Iterator[FieldChange]:
    was, now = before.lease, after.lease
    yield from field("lease cool-down", was, now, "cool_down_s", is_seconds=True)
    left = [
        {name: value for name, value in raw(lease).items() if name != "cool_down_s"}
        for lease in (was, now)
    ]
    yield from mapping("lease", left[0], left[1])


def _pins(plan: Outline, is_looked_at: bool) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{pin.name} of {pin.subject}": {"must be": pin.expected, "targets": list(pin.targets)}
        | ({"is": pin.found or "no answer"} if is_looked_at else {})
        for pin in plan.pins
    }


def _seen(before: Outline, after: Outline) -> Iterator[PartChange]:
    if before.is_offline or after.is_offline:
        return
    old = before.by_id
    for step in after.steps:
        if step.id in old:
            was, now = old[step.id].prediction, step.prediction
            changed = (*fields(was, now, ("symbol",)), *mapping("", was.facts, now.facts))
            if changed:
                yield PartChange(sign="~", name=step.id, fields=changed)
    bounds = before.loss and before.loss.bound_s, after.loss and after.loss.bound_s
    if bounds[0] != bounds[1]:
        bound = FieldChange(name="at most", before=bounds[0], after=bounds[1], is_seconds=True)
        yield PartChange(sign="~", name="data loss", fields=(bound,))


def _irreversible(plan: Outline) -> list[str]:
    return [step.id for step in plan.steps if step.is_irreversible]


def _findings(before: Outline, after: Outline) -> NameChange:
    found = names_of(*([one.sentence for one in plan.findings] for plan in (before, after)))
    waived = {one.finding.sentence for one in after.waived}
    cured = tuple(one for one in found.removed if one not in waived)
    return NameChange(added=found.added, removed=cured)


def _waivers(before: Outline, after: Outline) -> Iterator[PartChange]:
    old, new = before.waivers, after.waivers
    for key in dict.fromkeys((*old, *new)):
        if key in old and key in new:
            changed = tuple(fields(old[key], new[key], ("until", "reason")))
            if changed:
                yield PartChange(sign="~", name=key, fields=changed)
        elif key in new:
            yield PartChange(sign="+", name=key, about=new[key].about)
        else:
            yield PartChange(sign="-", name=key, about=old[key].about)


def _code(before: Outline, after: Outline) -> NameChange:
    both = before.code.keys() & after.code.keys()
    return NameChange(added=tuple(sorted(n for n in both if before.code[n] != after.code[n])))
