"""
A small part of PromQL, with its own meaning: what it cannot do it refuses, and never guesses.

Selectors with ``= != =~ !~``, ranges, ``rate increase absent vector``, ``sum count min max avg``
with ``by``, arithmetic, comparisons that filter, ``or``. ``rate`` does not extrapolate to the
window's edges, as the real one does: it is the slope between the first and the last sample.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, TypeAlias

from drctl.lab.monitoring.series import Labels, Store

Vector: TypeAlias = dict[Labels, float]
Value: TypeAlias = Vector | float

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?![smhd\w]))|(?P<length>\d+[smhd])
    |(?P<text>"(?:[^"\\]|\\.)*")|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/(){}\[\],=<>]))""",
    re.VERBOSE,
)
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda one, other: one / other if other else (math.nan if one == 0 else math.inf),
}
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_SUMS: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": math.fsum,
    "count": len,
    "min": min,
    "max": max,
    "avg": lambda values: math.fsum(values) / len(values),
}


class BadQuery(ValueError):
    """It is no PromQL, or more of it than is known here."""


def evaluate(text: str, store: Store, now_s: float) -> Value:
    """
    The value of a query now.

    Raises:
        BadQuery: See there.
    """
    query = _Query(text, store, now_s)
    value = query.either()
    query.end()
    return value


class _Query:
    """Reads and evaluates in one go, each level of precedence a method."""

    def __init__(self, text: str, store: Store, now_s: float) -> None:
        self._store, self._now_s = store, now_s
        self._tokens = list(_tokens(text))

    def end(self) -> None:
        if self._tokens:
            raise BadQuery(f"unexpected {self._tokens[0][1]!r}")

    def either(self) -> Value:
        value = self._compared()
        while self._take("or"):
            more = self._compared()
            if isinstance(value, float) or isinstance(more, float):
                raise BadQuery("or stands between vectors")
            known = {_unnamed(key) for key in value}
            value |= {key: one for key, one in more.items() if _unnamed(key) not in known}
        return value

    def _compared(self) -> Value:
        value = self._summed()
        sign = self._peek()
        if sign not in _COMPARISONS:
            return value
        self._take(sign)
        holds, limit = _COMPARISONS[sign], self._summed()
        if isinstance(value, float) or not isinstance(limit, float):
            raise BadQuery("only a vector is compared here, with a number")
        return {key: one for key, one in value.items() if holds(one, limit)}

    def _summed(self) -> Value:
        value = self._product()
        while (sign := self._peek()) in {"+", "-"}:
            self._take(sign)
            value = _combined(sign, value, self._product())
        return value

    def _product(self) -> Value:
        value = self._single()
        while (sign := self._peek()) in {"*", "/"}:
            self._take(sign)
            value = _combined(sign, value, self._single())
        return value

    def _single(self) -> Value:  # noqa: PLR0911 (a table)
        kind, text = self._next()
        if kind == "number":
            return float(text)
        if text == "(":
            value = self.either()
            self._need(")")
            return value
        if text == "-":
            return _combined("*", -1.0, self._single())
        if kind != "name" and text != "{":
            raise BadQuery(f"unexpected {text!r}")
        if text in _SUMS:
            return self._aggregate(text)
        if text in {"rate", "increase"}:
            self._need("(")
            found = self._range(per_second=text == "rate")
            self._need(")")
            return found
        if text in {"absent", "vector"} and self._take("("):
            return self._function(text)
        if self._peek() == "(":
            raise BadQuery(f"unknown function {text!r}")
        return self._instant(self._matchers("" if text == "{" else text, is_open=text == "{"))

    def _function(self, name: str) -> Value:
        value = self.either()
        self._need(")")
        if name == "vector":
            if not isinstance(value, float):
                raise BadQuery("vector takes a number")
            return {(): value}
        if isinstance(value, float):
            raise BadQuery("absent takes a vector")
        return {} if value else {(): 1.0}

    def _aggregate(self, name: str) -> Vector:
        by = self._by()
        self._need("(")
        value = self.either()
        self._need(")")
        by = by or self._by()
        if isinstance(value, float):
            raise BadQuery(f"{name} takes a vector")
        groups: dict[Labels, list[float]] = {}
        for key, one in value.items():
            group = tuple(pair for pair in key if pair[0] in by)
            groups.setdefault(group, []).append(one)
        return {group: float(_SUMS[name](values)) for group, values in groups.items()}

    def _by(self) -> frozenset[str]:
        if not self._take("by"):
            return frozenset()
        self._need("(")
        names = set()
        while not self._take(")"):
            names.add(self._next()[1])
            self._take(",")
        return frozenset(names)

    def _range(self, *, per_second: bool) -> Vector:
        kind, name = self._next()
        if kind != "name" and name != "{":
            raise BadQuery("expected a selector with a range")
        keys = self._matchers("" if name == "{" else name, is_open=name == "{")
        self._need("[")
        kind, length = self._next()
        self._need("]")
        if kind != "length":
            raise BadQuery(f"{length!r} is no length of time")
        range_s = float(length[:-1]) * _UNITS[length[-1]]
        found: Vector = {}
        for key in keys:
            samples = self._store.series[key].within(self._now_s, range_s)
            if len(samples) > 1:
                rise = _rise(samples)
                span_s = samples[-1][0] - samples[0][0]
                found[_unnamed(key)] = rise / span_s if per_second else rise
        return found

    def _instant(self, keys: Iterable[Labels]) -> Vector:
        values = {key: self._store.series[key].last(self._now_s) for key in keys}
        return {key: value for key, value in values.items() if value is not None}

    def _matchers(self, name: str, *, is_open: bool) -> list[Labels]:
        """The series that a selector means."""
        tests: list[Callable[[dict[str, str]], bool]] = []
        if name:
            tests.append(lambda told: told["__name__"] == name)
        if is_open or self._take("{"):
            while not self._take("}"):
                tests.append(self._matcher())
                self._take(",")
        if not tests:
            raise BadQuery("a selector that selects everything")
        return [key for key in self._store.series if all(test(dict(key)) for test in tests)]

    def _matcher(self) -> Callable[[dict[str, str]], bool]:
        label, (_kind, sign), (kind, text) = self._next()[1], self._next(), self._next()
        if kind != "text":
            raise BadQuery(f"{label} is matched with a text in quotes")
        value = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        match sign:
            case "=":
                return lambda told: told.get(label, "") == value
            case "!=":
                return lambda told: told.get(label, "") != value
            case "=~" | "!~":
                try:
                    form = re.compile(value)
                except re.error as error:
                    raise BadQuery(f"{value!r}: {error}") from error
                wanted = sign == "=~"
                return lambda told: bool(form.fullmatch(told.get(label, ""))) is wanted
            case _:
                raise BadQuery(f"unexpected {sign!r}")

    def _peek(self) -> str:
        return self._tokens[0][1] if self._tokens else ""

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise BadQuery("unexpected end of input")
        return self._tokens.pop(0)

    def _take(self, text: str) -> bool:
        if self._peek() != text:
            return False
        self._tokens.pop(0)
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise BadQuery(f"expected {text!r}, not {self._peek()!r}")


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise BadQuery(f"unexpected {text[at : at + 10]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _unnamed(key: Labels) -> Labels:
    return tuple(pair for pair in key if pair[0] != "__name__")


def _rise(samples: list[tuple[float, float]]) -> float:
    """How much a counter grew; a value below the one before it is a counter that began anew."""
    rise = 0.0
    for (_, before), (_, after) in pairwise(samples):
        rise += after - before if after >= before else after
    return rise


def _combined(sign: str, one: Value, other: Value) -> Value:
    work = _ARITHMETIC[sign]
    if isinstance(one, float) and isinstance(other, float):
        return work(one, other)
    if isinstance(one, float):
        assert not isinstance(other, float)  # noqa: S101 (for the type checker)
        return {_unnamed(key): work(one, value) for key, value in other.items()}
    if isinstance(other, float):
        return {_unnamed(key): work(value, other) for key, value in one.items()}
    matches = {_unnamed(key): value for key, value in other.items()}
    return {
        _unnamed(key): work(value, matches[_unnamed(key)])
        for key, value in one.items()
        if _unnamed(key) in matches
    }
