"""What a plan may change, by what it really is, and where the right to do so is kept. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from drctl.actions.cell import Cell
from drctl.actions.contract import Effect
from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment, LeaseChoice
from drctl.kernel.canonical import as_json
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.plan.model import PlannedLease, PlannedStep

_AWAY = frozenset({Effect.PROMOTE, Effect.TRAFFIC})
"""What makes a run a failover: one that only fences, to rebuild a standby, flaps nothing."""


def moves(steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    """The steps by which a failover moves the service, its fences with them; empty: it is none."""
    if not any(step.effect in _AWAY for step in steps):
        return []
    return [step for step in steps if step.effect in _AWAY or step.effect is Effect.FENCE]


def planned_lease(
    registry: Registry,
    environment: Environment,
    steps: Sequence[PlannedStep],
    targets: Mapping[str, Target],
) -> PlannedLease:
    """
    The lease of a plan.

    Raises:
        InvalidError: The environment names a store that is not installed, or its settings wrongly.
    """
    changing = [
        step for step in steps if step.effect.changes_something and not _only_marks(registry, step)
    ]
    moving = moves(changing)
    choice = environment.lease
    common = PlannedLease(
        identities=identities_of(changing, targets, environment.name),
        moves=identities_of(moving, targets, environment.name),
        cool_down_s=environment.cool_down_s,
    )
    if choice is None:
        return common
    settings, cell = _opened(registry, choice)
    left = {
        place
        for step in changing
        if step.effect is Effect.FENCE and step.call and step.call.target
        for place in targets[step.call.target].places
    }
    return common.model_copy(
        update={
            "store": choice.store,
            "settings": settings,
            "label": sanitize(cell.label),
            "shares_fate_with": tuple(sorted(left.intersection(cell.places))),
        }
    )


def _only_marks(registry: Registry, step: PlannedStep) -> bool:
    if step.call is None or step.undo is not None:
        return False
    action = registry.get(step.call.uses)
    return action is not None and action.leaves_mark


def cell_of(registry: Registry, lease: PlannedLease) -> Cell | None:
    """
    The cell that a plan names; ``None``: this machine's.

    Raises:
        InvalidError: Its store is not installed here.
    """
    if lease.store is None:
        return None
    choice = LeaseChoice(store=lease.store, settings=lease.settings, at=None)
    return _opened(registry, choice)[1]


def _opened(registry: Registry, choice: LeaseChoice) -> tuple[Mapping[str, object], Cell]:
    store = registry.store(choice.store)
    if store is None:
        near = did_you_mean(choice.store, registry.stores)
        raise _wrong(choice, f'no store of leases is called "{choice.store}"{near}')
    try:
        settings = store.settings.model_validate(choice.settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("lease", *first["loc"]))
        raise _wrong(choice, f"{place}: {first['msg']}") from error
    return as_json(settings.model_dump(mode="json")), store.open(settings)


def _wrong(choice: LeaseChoice, what: str) -> InvalidError:
    return InvalidError((Problem(code="DR5002", what=sanitize(what), at=choice.at),))


def identities_of(
    steps: Iterable[PlannedStep], targets: Mapping[str, Target], environment: str
) -> tuple[str, ...]:
    """What these steps may change, each thing once."""
    found: dict[str, None] = {}
    pairs = dict.fromkeys(
        (step.call.target, step.undo.target if step.undo else None)
        for step in steps
        if step.call is not None  # else a person does it
    )
    for target, undone in pairs:
        for name in (target, undone):
            found |= dict.fromkeys(targets[name].identities if name else ())
        if target is None or not targets[target].identities:
            # What it changes has no name: then nobody else may change anything here meanwhile.
            found[f"environment:{environment}"] = None
    return tuple(found)
