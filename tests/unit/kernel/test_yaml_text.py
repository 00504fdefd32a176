"""The YAML subset: what it refuses, where it says so, and that hostile text costs nothing."""

import time

import pytest

from drctl.kernel.yaml_text import MAX_BYTES, MAX_DEPTH, MAX_NODES, read
from drctl.kernel.yaml_tree import ScalarNode, at, key_position, plain, scalars


def told(text: str) -> list[str]:
    return [f"{p.at.line}:{p.at.column} {p.code}" for p in read(text, file="f").problems]


def value(text: str) -> object:
    document = read(text, file="f")
    assert document.root is not None
    return plain(document.root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123", "0123"),
        ("012345670123", "012345670123"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("10:30:00", "10:30:00"),
        ("2026-11-22", "2026-11-22"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("1234567890123456789", "1234567890123456789"),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'no'", "no"),
        ('"1"', "1"),
    ],
)
def test_a_plain_scalar_is_what_yaml_1_2_core_says_or_text(text: str, expected: object) -> None:
    assert value(f"a: {text}") == {"a": expected}


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_a_word_that_is_a_boolean_to_some_is_refused_and_kept_as_text(word: str) -> None:
    assert told(f"a: {word}") == ["1:4 DR1005"]
    assert value(f"a: {word}") == {"a": word}


def test_a_key_called_on_is_a_key() -> None:
    assert told("on: 1") == []


def test_a_duplicate_key_names_both_places_and_the_first_counts() -> None:
    problem = read("a: 1\nb: 2\na: 3\n", file="f").problems[0]
    assert (problem.code, str(problem.at)) == ("DR1004", "f:3:1")
    assert "line 1, column 1" in problem.what
    assert value("a: 1\nb: 2\na: 3\n") == {"a": 1, "b": 2}


def test_one_problem_does_not_hide_the_next() -> None:
    text = "a: &x no\nb: *x\nc: !!str 3\nd: {<<: {e: 1}}\n1: f\ng: {h: 1, h: 2}\n"
    assert told(text) == [
        "1:4 DR1003",
        "1:4 DR1005",
        "2:4 DR1003",
        "3:4 DR1003",
        "4:5 DR1003",
        "5:1 DR1003",
        "6:11 DR1004",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 DR1001"),
        ("# only a comment", "1:1 DR1001"),
        ("a: [1", "2:1 DR1001"),
        ("a: 'x", "1:6 DR1001"),
        ("a: 1\n---\nb: 2", "2:1 DR1003"),
        ("%YAML 1.1\n---\na: 1", "1:1 DR1003"),
        ("ok: 1\nb: \x07", "2:4 DR1001"),
        ("a: b\u2028c", "1:5 DR1001"),
        ("a: \ud800", "1:4 DR1001"),
        ("? [a]\n: b", "1:3 DR1003"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_place(text: str, expected: str) -> None:
    assert told(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 200_000, "DR1002"),
        ("{" * 200_000, "DR1003"),
        ("{a: " * 50_000, "DR1002"),
        ("- " * 200_000, "DR1002"),
        ("? " * 200_000, "DR1003"),
        ("x" * (MAX_BYTES + 1), "DR1002"),
        ("é" * (MAX_BYTES // 2 + 1), "DR1002"),
        ("[" + "1," * (MAX_NODES + 1) + "]", "DR1002"),
        ("a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "DR1003"),
    ],
    ids=lambda word: repr(word[:12]),
)
def test_hostile_text_is_refused_quickly(text: str, code: str) -> None:
    """The C composer ends the process on 200,000 brackets; a slow answer would be an outage too."""
    start = time.monotonic()
    assert told(text)[0].endswith(code)
    assert time.monotonic() - start < 5


def test_the_deepest_text_allowed_is_read() -> None:
    assert told("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []


def test_positions_survive_a_byte_order_mark_and_wide_characters() -> None:
    document = read("\ufeffä: 😀\nb: {c: no}\n", file="f")
    assert [str(problem.at) for problem in document.problems] == ["f:2:8"]


def scalar(text: str) -> ScalarNode:
    root = read(text, file="f").root
    assert root is not None
    return next(node for _, node in scalars(root))


@pytest.mark.parametrize(
    ("text", "offset", "fragment", "expected"),
    [
        ("a: foo bar", 4, "bar", "1:8"),
        ('a: "foo bar"', 4, "bar", "1:9"),
        ("a: 'it''s bar'", 5, "bar", "1:11"),
        ('a: "\\u0041 bar"', 2, "bar", "1:12"),
        ("a: |\n  foo\n  bar\n", 4, "bar", "3:3"),
        ("a: >\n  foo\n  bar\n", 4, "bar", "3:3"),
        ('a: "\\u0041"', 0, "nowhere", "1:4"),
    ],
)
def test_a_place_inside_a_scalar_is_found(
    text: str, offset: int, fragment: str, expected: str
) -> None:
    place = scalar(text).place(offset, fragment)
    assert f"{place.line}:{place.column}" == expected


def test_a_path_leads_to_its_node_or_to_the_last_one_on_the_way() -> None:
    root = read("a:\n  - b: 1\n", file="f").root
    assert root is not None
    assert plain(at(root, ("a", 0, "b"))) == 1
    assert plain(at(root, ("a", 0, "zz"))) == {"b": 1}
    assert str(key_position(root, ("a", 0, "b"))) == "f:2:5"
    assert str(key_position(root, ("a", 0))) == "f:2:5"
