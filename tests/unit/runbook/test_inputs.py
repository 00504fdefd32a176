"""What the operator gives becomes typed values, or all that is wrong with it at once."""

from datetime import timedelta

import pytest

from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError
from drctl.runbook import check_runbook, load_runbook, resolve_inputs
from drctl.runbook.models import Runbook

TEXT = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: x, title: X, owner: us}
objectives: {rto: 1m, rpo: 0s, clock: {stops_after: [look]}}
targets: {app: app.recovery}
inputs:
INPUTS
steps:
  - {id: look, uses: http.probe, target: app, with: {path: /x}, timeout: 5s}
"""
INPUTS = """\
  text: {type: string, pattern: 'a+', description: some a's}
  mode: {type: string, enum: [fast, slow], default: fast}
  count: {type: int, minimum: 1, maximum: 9, default: 3}
  share: {type: double, minimum: 0, maximum: 1, default: 1}
  wait: {type: duration, minimum: 1s, maximum: 1h, default: 90s}
  sure: {type: bool, default: false}
"""


@pytest.fixture
def runbook(registry: Registry) -> Runbook:
    return load_runbook(TEXT.replace("INPUTS\n", INPUTS), registry=registry)


def told(runbook: Runbook, **given: str) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        resolve_inputs(runbook, given)
    return [f"{problem.code}: {problem.what}" for problem in caught.value.problems]


def test_defaults_are_typed(runbook: Runbook) -> None:
    assert resolve_inputs(runbook, {"text": "aa"}) == {
        "text": "aa",
        "mode": "fast",
        "count": 3,
        "share": 1.0,
        "wait": timedelta(seconds=90),
        "sure": False,
    }


def test_text_becomes_the_declared_type(runbook: Runbook) -> None:
    given = {"text": "a", "count": "9", "share": "0.5", "wait": "4m30s", "sure": "true"}
    values = resolve_inputs(runbook, given)
    assert (values["count"], values["share"]) == (9, 0.5)
    assert (values["wait"], values["sure"]) == (timedelta(seconds=270), True)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("text", "b", 'the input "text" must match a+, and "b" does not'),
        ("text", "ab", 'the input "text" must match a+, and "ab" does not'),
        ("mode", "fats", 'must be one of fast, slow, not "fats"; did you mean "fast"?'),
        ("count", "0", "must be at least 1, not 0"),
        ("count", "10", "must be at most 9, not 10"),
        ("count", "3.0", 'must be a whole number, not "3.0"'),
        ("count", "9" * 30, "must be a whole number"),
        ("share", "1.1", "must be at most 1, not 1.1"),
        ("share", "1e999", "must be a finite number"),
        ("share", "nan", 'must be a number, not "nan"'),
        ("wait", "90", 'must be a duration: "90" is not a duration'),
        ("wait", "2h", "must be at most 1h, not 2h"),
        ("wait", "9" * 400 + "s", "must be a duration"),
        ("sure", "yes", 'must be true or false, not "yes"'),
    ],
)
def test_a_value_that_does_not_fit_is_told(
    runbook: Runbook, name: str, text: str, words: str
) -> None:
    problems = told(runbook, **{"text": "a", name: text})
    assert len(problems) == 1
    assert words in problems[0]
    assert problems[0].startswith("DR1082: ")


def test_everything_wrong_is_told_at_once(runbook: Runbook) -> None:
    assert told(runbook, cuont="1", wait="5") == [
        'DR1080: there is no input "cuont"; did you mean "count"?',
        'DR1081: the input "text" (text) is missing: some a\'s',
        (
            'DR1082: the input "wait" must be a duration: "5" is not a duration: units are'
            ' ms, s, m, h, d, as in "4m30s"; write "5s" for seconds'
        ),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("n: {type: string, pattern: '('}", ["DR1016: this is not a regular expression: "]),
        ("n: {type: int, pattern: a}", ["DR1016: pattern is for strings"]),
        ("n: {type: string, minimum: 1}", ["DR1016: minimum is for numbers and durations"]),
        ("n: {type: int, enum: [1, two]}", ["DR1016: this must be a whole number"]),
        ("n: {type: int, enum: [1, 2], default: 3}", ["DR1016: this must be one of 1, 2"]),
        ("n: {type: int, minimum: 5, enum: [1, 6]}", ["DR1016: this must be at least 5"]),
        ("n: {type: duration, default: 90}", ["DR1016: this must be a duration"]),
        ("n: {type: bool, default: 'true'}", ["DR1016: this must be true or false"]),
        ("n: {type: string, default: 1}", ["DR1016: this must be text"]),
    ],
)
def test_an_input_must_fit_itself(registry: Registry, line: str, expected: list[str]) -> None:
    text = TEXT.replace("INPUTS", f"  {line}")
    problems = [f"{p.code}: {p.what}" for p in check_runbook(text, registry=registry)[1]]
    assert len(problems) == len(expected), problems
    assert all(problem.startswith(words) for problem, words in zip(problems, expected, strict=True))
