"""Which step waits for which: ids, needs, cycles, ancestors."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from typing import Any

from drctl.kernel.ids import StepId
from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook.draft import Draft, Placed

_ID = re.compile(r"[a-z][a-z0-9_]*")


class Ancestors(AbstractSet[StepId]):
    """
    Some of the steps of a graph: one bit for each. Ten thousand steps, each with all those above
    it, are 12 MiB so, and 5 GiB as sets.
    """

    __slots__ = ("_bits", "_names", "_places")

    def __init__(self, bits: int, places: Mapping[StepId, int], names: Sequence[StepId]) -> None:
        """
        Args:
            bits: Which ones, by place.
            places: Of every step of the graph; shared.
            names: The same the other way round.
        """
        self._bits, self._places, self._names = bits, places, names

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        return frozenset(it)

    def __contains__(self, step: object) -> bool:
        place = self._places.get(step)  # type: ignore[call-overload]  # anything may be asked for
        return place is not None and bool(self._bits >> place & 1)

    def __iter__(self) -> Iterator[StepId]:
        left = self._bits
        while left:
            lowest = left & -left
            yield self._names[lowest.bit_length() - 1]
            left ^= lowest

    def __len__(self) -> int:
        return self._bits.bit_count()


def ancestors(needs: Mapping[StepId, Iterable[StepId]]) -> dict[StepId, AbstractSet[StepId]]:
    """
    All steps that are over before a step starts. Steps that wait for each other are not each
    other's ancestors, and neither are ids that nothing is known about.
    """
    names = tuple(needs)
    places = {step: place for place, step in enumerate(names)}
    found: dict[StepId, AbstractSet[StepId]] = {}
    # What a step that needs this one waits for: its ancestors, itself, and its knot.
    behind: dict[StepId, int] = {}
    groups = [[step] for step in needs] if _reads_forward(needs) else _groups(needs)
    for group in groups:
        reached = own = 0
        for step in group:
            own |= 1 << places[step]
        for step in group:
            for need in needs[step]:
                if need in behind:
                    reached |= behind[need]
        for step in group:
            found[step] = Ancestors(reached, places, names)
            behind[step] = reached | own
    return found


def in_order(needs: Mapping[StepId, Iterable[StepId]]) -> tuple[StepId, ...]:
    """
    The steps so that each comes after its needs; those that could swap stay in reading order.

    Raises:
        graphlib.CycleError: Some wait for each other.
    """
    rank = {step: index for index, step in enumerate(needs)}
    sorter = TopologicalSorter({s: [n for n in ns if n in rank] for s, ns in needs.items()})
    sorter.prepare()
    order: list[StepId] = []
    ready = sorted(sorter.get_ready(), key=rank.__getitem__)
    while ready:
        step = ready.pop(0)
        order.append(step)
        sorter.done(step)
        ready = sorted([*ready, *sorter.get_ready()], key=rank.__getitem__)
    return tuple(order)


def cycles(needs: Mapping[StepId, Iterable[StepId]]) -> list[tuple[StepId, ...]]:
    """
    One cycle for each knot of steps that wait for each other, starting with the step that is read
    first: each waits for the next, the last for the first.
    """
    if _reads_forward(needs):
        return []
    rank = {step: index for index, step in enumerate(needs)}
    left = {s: [n for n in ns if n in rank] for s, ns in needs.items()}
    found = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            ring = list(reversed(error.args[1][:-1]))  # graphlib: each before the one that needs it
            first = ring.index(min(ring, key=rank.__getitem__))
            ring = ring[first:] + ring[:first]
            found.append(tuple(ring))
            for step in ring:
                left[step] = []
        else:
            return sorted(found, key=lambda one: rank[one[0]])


def _reads_forward(needs: Mapping[StepId, Iterable[StepId]]) -> bool:
    """Whether each step stands below all that it waits for, as in nearly every runbook."""
    above: set[StepId] = set()
    for step, those in needs.items():
        if not above.issuperset(those) and any(n in needs and n not in above for n in those):
            return False
        above.add(step)
    return True


def check_graph(draft: Draft) -> None:
    """Notes wrong ids, needs and cycles, and fills ``draft.needs`` with what can be followed."""
    _check_ids(draft)
    # Ordered sets: each need is looked up, and a guess is made from what stands above.
    main = dict.fromkeys(placed.step.id for placed in draft.main)
    final = dict.fromkeys(placed.step.id for placed in draft.steps if placed.is_final)
    for placed in draft.steps:
        follow = _check_needs(draft, placed, final if placed.is_final else main, main)
        draft.needs.setdefault(placed.step.id, follow)
    for ring in cycles(draft.needs):
        _say_cycle(draft, ring)
    stops = draft.objectives.clock.stops_after if draft.objectives else ()
    for index, step_id in enumerate(stops):
        if main and step_id not in main:
            what = f'there is no step "{sanitize(step_id, limit=80)}"{did_you_mean(step_id, main)}'
            draft.say_at("DR1023", what, ("objectives", "clock", "stops_after", index))


def _groups(needs: Mapping[StepId, Iterable[StepId]]) -> list[list[StepId]]:
    """Strongly connected components, needs first. Tarjan's, without recursion: chains are long."""
    index: dict[StepId, int] = {}
    low: dict[StepId, int] = {}
    stack: list[StepId] = []
    waiting: set[StepId] = set()
    groups: list[list[StepId]] = []
    for root in needs:
        if root in index:
            continue
        work = [(root, iter([n for n in needs[root] if n in needs]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        waiting.add(root)
        while work:
            step, left = work[-1]
            for need in left:
                if need not in index:
                    index[need] = low[need] = len(index)
                    stack.append(need)
                    waiting.add(need)
                    work.append((need, iter([n for n in needs[need] if n in needs])))
                    break
                if need in waiting:
                    low[step] = min(low[step], index[need])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[step])
                if low[step] == index[step]:
                    group: list[StepId] = []
                    while not group or group[-1] != step:
                        group.append(stack.pop())
                        waiting.discard(group[-1])
                    groups.append(group)
    return groups


def _check_ids(draft: Draft) -> None:
    first: dict[StepId, Placed] = {}
    for placed in draft.steps:
        step_id, path = placed.step.id, (*placed.path, "id")
        if isinstance(placed.written.get("id", {}), dict | list):
            continue
        if step_id == f"{placed.path[0]}[{placed.path[1]}]":
            continue  # not an id; told when it was read
        shown = sanitize(step_id, limit=80)
        if not _ID.fullmatch(step_id):
            draft.say_at("DR1014", f'"{shown}" is not an id: use snake_case', path)
        elif step_id in first:
            line = first[step_id].step.position.line
            draft.say_at(
                "DR1022", f'the id "{shown}" is used twice; the first is at line {line}', path
            )
        first.setdefault(step_id, placed)


def _check_needs(
    draft: Draft,
    placed: Placed,
    known: Mapping[StepId, object],
    main: Mapping[StepId, object],
) -> tuple[StepId, ...]:
    """Notes needs that lead nowhere; returns those that can be followed."""
    follow = []
    for index, need in enumerate(placed.step.needs):
        path = (*placed.path, "needs", index)
        if need in known:
            follow.append(need)
        elif placed.is_final and need in main:
            what = f'steps under "finally" run after all others; leave "{need}" out'
            draft.say_at("DR1020", what, path)
        else:
            # Only a step above may be followed in its place: a guess must not make a cycle. With no
            # guess it is the one right above, so that what is missing is told once.
            names = list(known)
            above = names[: names.index(placed.step.id)] if placed.step.id in known else names
            near = did_you_mean(need, above) or did_you_mean(need, known)
            what = f'there is no step "{sanitize(need, limit=80)}"{near}'
            draft.say_at("DR1020", what, path)
            follow += [step for step in above if f'"{step}"' in near] or above[-1:]
    return tuple(follow)


def _say_cycle(draft: Draft, ring: tuple[StepId, ...]) -> None:
    placed = {one.step.id: one for one in reversed(draft.steps)}
    links = []
    for step, need in zip(ring, (*ring[1:], ring[0]), strict=True):
        is_written = draft.has((*placed[step].path, "needs"))
        links.append(f"{step} needs {need}" if is_written else f"{step} stands below {need}")
    # Reported where a person can cut it: at the first `needs` of the ring that is written down.
    cut = next((s for s in ring if draft.has((*placed[s].path, "needs"))), ring[0])
    what = f"these steps wait for each other: {', '.join(links)}"
    draft.say_key("DR1021", what, (*placed[cut].path, "needs"))
