"""Whatever text and values come: a value, unknown, or an ExpressionError."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.kernel.duration import parse_duration
from drctl.runbook import UNKNOWN, ExpressionError, Scope, evaluate, for_people
from drctl.runbook.models import write_duration
from drctl.runbook.values import CelType

TYPES = {
    "inputs.s": "string",
    "inputs.n": "int",
    "inputs.b": "bool",
    "inputs.d": "double",
    "rto.remaining": "duration",
    "steps.a.outputs.at": "timestamp",
    "outputs.m": "map<string,bool>",
    "outputs.l": "list<string>",
    "outputs.x": "dyn",
}
SCOPE = Scope({name: CelType(kind) for name, kind in TYPES.items()})
SIGNS = """1 1.5 'a' " true null ( ) [ ] { } + - == && || ! < ? : . , in inputs each.x // ${{ }}"""
CALLS = "size( has( map(x, duration('1s') timestamp('x') matches('(') é"
WORDS = st.sampled_from([*TYPES, *SIGNS.split(), *CALLS.split(), "\n", "\ud800", "\0"])
TEXTS = st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=60))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
VALUES = st.one_of(
    JSON,
    st.timedeltas(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.binary(max_size=4),
    st.just(UNKNOWN),
    st.sampled_from([object(), {1, 2}, ("a",), datetime, timedelta.max]),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.dictionaries(st.sampled_from(sorted(TYPES)), VALUES, max_size=5))
def test_nothing_but_expression_error_escapes(text: str, values: dict[str, Any]) -> None:
    for make in (lambda: evaluate(SCOPE.compile(text), values), lambda: render(text, values)):
        try:
            value = make()
        except ExpressionError as error:
            for fault in error.faults:
                assert 0 <= fault.offset <= len(text) + 4
        else:
            assert value is UNKNOWN or isinstance(for_people(value), str)


def render(text: str, values: dict[str, Any]) -> Any:
    return SCOPE.template(f"${{{{ {text} }}}}").render(values)


@settings(max_examples=200, deadline=None)
@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
def test_a_duration_that_is_written_is_read_back_the_same(length: timedelta) -> None:
    assert parse_duration(write_duration(length)) == length


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.msdh ٣", max_size=400))
def test_reading_a_duration_raises_value_error_only(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError as error:
        assert "duration" in str(error)  # noqa: PT017 (either way out is right)
