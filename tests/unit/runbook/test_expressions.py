"""Expressions: what compiles, what a value is, and that unknown is not false."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest

from drctl.runbook import UNKNOWN, ExpressionError, Scope, evaluate, for_people, render
from drctl.runbook.values import CelType

NAMES: Mapping[str, CelType] = {
    name: CelType(kind)
    for name, kind in {
        "inputs.region": "string",
        "inputs.replicas": "int",
        "steps.lag.outputs.bound": "duration",
        "steps.lag.outputs.at": "timestamp",
        "steps.look.status": "string",
        "outputs.checks": "map<string,bool>",
        "outputs.latency_s": "double",
        "outputs.body": "dyn",
        "outputs.ok": "bool",
    }.items()
}
SCOPE = Scope(NAMES)
VALUES: Mapping[str, Any] = {
    "inputs": {"region": "west", "replicas": 3},
    "steps": {
        "lag": {
            "outputs": {"bound": timedelta(seconds=270), "at": datetime(2026, 1, 2, tzinfo=UTC)}
        }
    },
    "outputs": {"checks": {"database": True}, "latency_s": 2, "body": {"n": [1, (2,)], "s": None}},
}


def value(text: str, values: Mapping[str, Any] = VALUES) -> Any:
    return evaluate(SCOPE.compile(text), values)


def faults(text: str) -> list[tuple[str, int]]:
    with pytest.raises(ExpressionError) as caught:
        SCOPE.compile(text)
    return [(fault.code, fault.offset) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs.region", "west"),
        ("inputs . region", "west"),
        (".inputs.region", "west"),
        ("inputs.replicas + 1", 4),
        ("outputs.latency_s < 5.0", True),
        ("inputs.region.startsWith('w')", True),
        ("[1, 2].map(x, x + inputs.replicas)", [4, 5]),
        ("{'a': inputs.region}", {"a": "west"}),
        ("outputs.checks.database == true", True),
        ("outputs.body.n[1]", [2]),
        ("steps.lag.outputs.bound > duration('1m')", True),
        ("steps.lag.outputs.bound", timedelta(seconds=270)),
        ("steps.lag.outputs.at", datetime(2026, 1, 2, tzinfo=UTC)),
        ("inputs.region == 'west' ? 'a' : 'b'", "a"),
        ("'inputs.nothing' + inputs.region", "inputs.nothingwest"),
        ("inputs.region // inputs.nothing", "west"),
    ],
)
def test_an_expression_has_a_typed_value(text: str, expected: object) -> None:
    found = value(text)
    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs.regoin", [("DR1041", 0)]),
        ("1 == 1 && inputs.a == inputs.b", [("DR1041", 10), ("DR1041", 22)]),
        ("inputs", [("DR1041", 0)]),
        ("1 +", [("DR1040", 3)]),
        ("", [("DR1040", 0)]),
        ("nothing(1)", [("DR1040", 7)]),
        ("outputs.latency_s < 5", [("DR1040", 18)]),
        ("inputs.region == 1", [("DR1040", 14)]),
        ("has(outputs.checks.database)", [("DR1040", 0)]),
        ("1u", [("DR1043", 0)]),
        ("b'abc'", [("DR1043", 0)]),
        ("null", [("DR1043", 0)]),
        ("string", [("DR1043", 0)]),
        ("\ud800", [("DR1040", 0)]),
        ("(" * 100 + "1" + ")" * 100, [("DR1040", 0)]),
        ("1" + "+1" * 3000, [("DR1040", 0)]),
        ("true &&\n  inputs.no", [("DR1041", 10)]),
        ("true &&\n  no", [("DR1040", 10)]),
    ],
)
def test_what_does_not_compile_is_told_at_its_place(
    text: str, expected: list[tuple[str, int]]
) -> None:
    assert faults(text) == expected


def test_numbers_that_do_not_mix_are_explained() -> None:
    with pytest.raises(ExpressionError, match=r'"<" does not take double, int; .*write 5\.0'):
        SCOPE.compile("outputs.latency_s < 5")


def test_a_wanted_type_is_checked_and_a_dynamic_one_when_it_is_known() -> None:
    with pytest.raises(ExpressionError, match="this must be bool, and is string"):
        SCOPE.compile("inputs.region", wanted=CelType("bool"))
    condition = SCOPE.compile("outputs.body.n", wanted=CelType("bool"))
    with pytest.raises(ExpressionError, match="must be true or false"):
        evaluate(condition, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "inputs.region",
        "inputs.region == 'west'",
        "outputs.ok",
        "!outputs.ok",
        "outputs.ok || outputs.ok",
        "outputs.checks.database",
        "outputs.body",
    ],
)
def test_what_is_not_known_is_unknown_and_not_false(text: str) -> None:
    """A skipped fence must not read as "no fence needed"."""
    assert value(text, {}) is UNKNOWN
    assert value(text, dict.fromkeys(NAMES)) is UNKNOWN
    assert value(text, dict.fromkeys(NAMES, UNKNOWN)) is UNKNOWN


def test_unknown_does_not_matter_where_the_answer_does_not_depend_on_it() -> None:
    assert value("false && outputs.ok", {}) is False
    assert value("outputs.ok || true", {}) is True


def test_unknown_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)


def test_a_null_inside_a_body_is_unknown() -> None:
    assert value("outputs.body.s") is UNKNOWN


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("1 / 0", {}, "divide by zero"),
        ("outputs.checks.nothing", VALUES, "Key not found"),
        ("inputs.replicas + 9223372036854775807", VALUES, "overflow"),
        ("0.0 / 0.0", {}, "not finite"),
        ("'a'.matches('(')", {}, "regular expression"),
        ("inputs.region", {"inputs.region": 3}, "Unexpected value type"),
        ("inputs.region", {"inputs.region": "a\0b"}, "NUL"),
        ("inputs.region", {"inputs.region": "\ud800"}, "surrogates"),
        ("inputs.region", {"inputs.region": object()}, "object"),
        ("inputs.replicas", {"inputs.replicas": 2**70}, "too big"),
        ("steps.lag.outputs.at", {"steps.lag.outputs.at": datetime(2026, 1, 2)}, "offset"),  # noqa: DTZ001 (that is the point)
        ("steps.lag.outputs.bound", {"steps.lag.outputs.bound": timedelta.max}, "Duration"),
        ("outputs.latency_s", {"outputs.latency_s": 10**400}, "too large"),
    ],
)
def test_what_has_no_value_is_an_expression_error(
    text: str, values: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(ExpressionError, match=words) as caught:
        value(text, values)
    assert caught.value.faults[0].code == "DR1044"


def test_nested_loops_are_stopped_by_a_budget() -> None:
    loops = "true"
    for n in range(8):
        loops = f"[1,2,3,4,5,6,7,8,9].all(x{n}, {loops})"
    with pytest.raises(ExpressionError, match="budget"):
        value(loops)


def test_values_may_be_the_text_that_json_keeps() -> None:
    values = {"steps": {"lag": {"outputs": {"bound": "PT4M30S", "at": "2026-01-02T00:00:00Z"}}}}
    assert value("steps.lag.outputs.bound", values) == timedelta(seconds=270)
    assert value("steps.lag.outputs.at", values) == datetime(2026, 1, 2, tzinfo=UTC)
    assert value("steps.lag.outputs.bound", {"steps.lag.outputs.bound": "90s"}) == timedelta(
        seconds=90
    )


def test_an_enum_is_its_value() -> None:
    class Mode(StrEnum):
        WEST = "west"

    assert value("inputs.region == 'west'", {"inputs.region": Mode.WEST}) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no expression", "no expression"),
        ("${{ inputs.replicas }}", 3),
        ("${{inputs.replicas}}", 3),
        ("n=${{ inputs.replicas }}", "n=3"),
        ("${{ inputs.replicas }}${{ inputs.replicas }}", "33"),
        ("at most ${{ steps.lag.outputs.bound }}", "at most 4m30s"),
        ("since ${{ steps.lag.outputs.at }}", "since 2026-01-02T00:00:00Z"),
        ("it is ${{ 1 == 1 }}", "it is true"),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("x${{ '}}' }}", "x}}"),
        ("all ${{ outputs.body.n }}", "all [1, [2]]"),
    ],
)
def test_a_template_keeps_the_type_only_when_it_is_one_expression(
    text: str, expected: object
) -> None:
    assert render(text, SCOPE, VALUES) == expected


def test_a_template_with_something_unknown_is_unknown_unless_told_what_to_write() -> None:
    assert render("a ${{ inputs.region }}", SCOPE, {}) is UNKNOWN
    assert render("a ${{ inputs.region }}", SCOPE, {}, unknown="not measured") == "a not measured"


def test_every_fault_of_a_template_is_told_with_its_own_offset() -> None:
    with pytest.raises(ExpressionError) as caught:
        SCOPE.template("${{ inputs.a }} and ${{ inputs.b }} and ${{")
    assert [fault.offset for fault in caught.value.faults] == [40, 4, 24]


def test_values_are_written_for_people() -> None:
    assert for_people(timedelta(seconds=90)) == "1m30s"
    assert (
        for_people(datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)) == "2026-01-02T03:04:05.600Z"
    )
    assert for_people([timedelta(seconds=1), "é"]) == '["1s", "é"]'
