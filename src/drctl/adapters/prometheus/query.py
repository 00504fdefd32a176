"""
Asserts what Prometheus says of the estate, for a while.

Problem: an empty answer is not zero. A target that vanished from discovery has no ``up`` at all, a
rate over no traffic is ``NaN`` and compares as false with everything, and a rate of errors per
second is no share of requests. Invariant: an assertion holds only on values that are there: at
least as many series as asked for, each a number, and, where there is a floor, enough of what the
number is a share of. What is absent fails by its own name.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar
from urllib.parse import urlencode

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import ActionError, Rejected, Unavailable
from drctl.actions.targets import PrometheusServer, Target
from drctl.adapters import _bearer, _http
from drctl.kernel.duration import parse_duration
from drctl.kernel.text import sanitize

_MOST_SERIES = 1000
_SHOWN = 5


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


_Length = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "examples": ["5s", "1m30s"]}),
]
_Query = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True)]


class AssertParams(Params):
    """What must hold."""

    query: _Query
    """An instant query. A share of errors is ``sum(rate(bad)) / sum(rate(all))``."""
    at_most: float | None = None
    """No value of the answer may be above it."""
    at_least: float | None = None
    """No value of the answer may be below it."""
    series: int = Field(default=1, ge=1, le=_MOST_SERIES)
    """How many series the answer must have at least. None at all is a failure, never a zero."""
    floor_query: _Query | None = None
    """What the number is a share of, as requests per second: below *floor* it says nothing."""
    floor: float | None = None
    within: _Length = timedelta(0)
    """How long it may take until it holds for the first time: a rate still has the outage in its
    window for as long as that is. ``0s``: it must hold at once."""
    holds_for: _Length = timedelta(0)
    """From then on it must hold at every look for so long. ``0s``: one look is enough."""
    every: Annotated[_Length, Field(ge=timedelta(milliseconds=100))] = timedelta(seconds=2)
    """How often it is looked at."""

    @model_validator(mode="after")
    def _is_an_assertion(self) -> "AssertParams":
        if self.at_most is None and self.at_least is None:
            raise ValueError("at_most, at_least or both: otherwise nothing is asserted")
        if (self.floor_query is None) != (self.floor is None):
            raise ValueError("floor and floor_query go together")
        limits = (self.at_most, self.at_least, self.floor)
        if any(limit is not None and not math.isfinite(limit) for limit in limits):
            raise ValueError("a limit is a number")
        return self


class AssertOutputs(Outputs):
    """What was seen."""

    value: float
    """The worst: the highest for *at_most*, else the lowest."""
    series: int
    """In the last answer."""
    looks: int
    """At which it held."""
    floor_value: float | None
    """The least that the floor's query said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    worst: float
    series: int
    floor: float | None


class AssertQuery(Action[PrometheusServer, AssertParams, AssertOutputs]):
    """Asks, compares, and asks again until the window is over."""

    name: ClassVar[str] = "prometheus.query.assert"
    summary: ClassVar[str] = "Asserts a threshold on an instant query; absent is not zero"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PrometheusServer,)
    params: ClassVar[type[Params]] = AssertParams
    outputs: ClassVar[type[Outputs]] = AssertOutputs

    def planes(self, target: PrometheusServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def perform(
        self, ctx: Context, target: PrometheusServer, params: AssertParams
    ) -> AssertOutputs:
        """
        Asks until it has held for the window.

        Raises:
            Rejected: A value is beyond its limit; there are too few series, or none; a value is no
                number; the floor is not reached; or the query is wrong. Says which, and the values.
            Unavailable: It does not answer.
            ActionError: See `drctl.adapters._http`.
        """
        first_by_s = ctx.clock.now().boot_s + params.within.total_seconds()
        end_s: float | None = None
        looks: list[_Look] = []
        while True:
            try:
                looks.append(await _look(ctx, target, params))
            except (Rejected, Unavailable) as error:
                if end_s is not None or ctx.clock.now().boot_s >= first_by_s:
                    raise
                ctx.say(f"not yet: {error}")
            else:
                now_s = ctx.clock.now().boot_s
                end_s = end_s or now_s + params.holds_for.total_seconds()
                if now_s >= end_s:
                    return _outputs(params, looks)
            await ctx.clock.sleep(params.every.total_seconds())


async def _look(ctx: Context, target: PrometheusServer, params: AssertParams) -> _Look:
    """One look at which it held."""
    values = await _ask(ctx, target, params.query, at_least=params.series)
    _compare(target, params, values)
    floor = None
    if params.floor_query is not None and params.floor is not None:
        floor = min((await _ask(ctx, target, params.floor_query, at_least=1)).values())
        if floor < params.floor:
            raise Rejected(
                f"{target.label}: {floor:g} of {params.floor_query}, and below"
                f" {params.floor:g} a share says nothing"
            )
    worst = max if params.at_most is not None else min
    return _Look(worst=worst(values.values()), series=len(values), floor=floor)


def _outputs(params: AssertParams, looks: list[_Look]) -> AssertOutputs:
    worst = max if params.at_most is not None else min
    floors = [one.floor for one in looks if one.floor is not None]
    return AssertOutputs(
        value=worst(one.worst for one in looks),
        series=looks[-1].series,
        looks=len(looks),
        floor_value=min(floors) if floors else None,
    )


def _compare(target: PrometheusServer, params: AssertParams, values: dict[str, float]) -> None:
    beyond = {
        name: value
        for name, value in values.items()
        if (params.at_most is not None and value > params.at_most)
        or (params.at_least is not None and value < params.at_least)
    }
    if beyond:
        limits = [f"at most {params.at_most:g}"] if params.at_most is not None else []
        limits += [f"at least {params.at_least:g}"] if params.at_least is not None else []
        raise Rejected(f"{target.label}: {_shown(beyond)}, and must be {' and '.join(limits)}")


async def _ask(
    ctx: Context, target: PrometheusServer, query: str, *, at_least: int
) -> dict[str, float]:
    """The values by series, each a number."""
    path = f"/api/v1/query?{urlencode({'query': query})}"
    answer = await _bearer.get(ctx, target, path)
    error = _http.status_error(answer, "GET", target.label)
    if error is not None:
        raise _wrong(answer, error)
    values = _values(answer)
    if values is None:
        raise Rejected(f"{target.label} does not answer as a Prometheus does")
    if len(values) < at_least:
        raise Rejected(
            f"{target.label}: {len(values)} series of {at_least} for {query}: absent is not zero"
        )
    odd = {name: value for name, value in values.items() if not math.isfinite(value)}
    if odd:
        raise Rejected(f"{target.label}: {_shown(odd)} is no number: there is nothing to divide by")
    return values


def _wrong(answer: _http.Response, error: ActionError) -> ActionError:
    """A query that cannot be answered is wrong, whatever the status says."""
    return Rejected(str(error)) if answer.status in {400, 422} else error


def _values(answer: _http.Response) -> dict[str, float] | None:
    """The series of an answer; ``None`` when it is none of Prometheus'."""
    try:
        match answer.json():
            case {"status": "success", "data": {"resultType": "scalar", "result": [_, str(text)]}}:
                return {"scalar": float(text)}
            case {"status": "success", "data": {"resultType": "vector", "result": [*rows]}}:
                found = {}
                for row in rows[:_MOST_SERIES]:
                    match row:
                        case {"metric": {**labels}, "value": [_, str(text)]}:
                            told = ", ".join(
                                f"{name}={value}" for name, value in sorted(labels.items())
                            )
                            found[sanitize(told or "value", limit=200)] = float(text)
                        case _:
                            return None
                return found
            case _:
                return None
    except ValueError:
        return None


def _shown(values: dict[str, float]) -> str:
    some = [f"{name} is {value:g}" for name, value in list(values.items())[:_SHOWN]]
    more = len(values) - len(some)
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")
