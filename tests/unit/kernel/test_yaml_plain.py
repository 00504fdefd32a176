"""What the fast reader of YAML leaves to the careful one."""

import pytest

from drctl.kernel.yaml_page import open_page
from drctl.kernel.yaml_plain import read_plain
from drctl.kernel.yaml_text import MAX_DEPTH, MAX_NODES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a: &x 1",
        "a: *x",
        "a: !t 1",
        "a: &x {b: 1}",
        "a: !t [1]",
        "a: {b: 1, b: 2}",
        "a: 1\n'a': 2",
        "<<: {b: 1}",
        "'<<': 1",
        "1: a",
        "~: a",
        "? a",
        "? [a]\n: b",
        "a:",
        "a: ~",
        "a: [b, null]",
        "a: yes",
        "a: [Off]",
        "a: 1\n---\nb: 2",
        "%YAML 1.2\n---\na: 1",
        "%TAG ! x\n---\na: 1",
        "a: [1",
        "a: 'x",
        "\ta: 1",
        "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1),
        f"[{'1,' * MAX_NODES}1]",
    ],
)
def test_what_is_odd_is_not_read_fast(text: str) -> None:
    assert read_plain(text) is None


def test_what_is_allowed_but_just_so_is_read() -> None:
    deep = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    found = read_plain(deep)
    assert found is not None
    assert str(found.values) == deep
    assert read_plain(f"[{'1,' * (MAX_NODES - 2)}1]") is not None


def test_values_are_typed_as_yaml_1_2_core_has_them() -> None:
    found = read_plain("a: [1, 1.5, true, x, 012, 'yes', \"~\", '']\n'5': {b: '1'}\non: 2")
    assert found is not None
    wanted = {"a": [1, 1.5, True, "x", "012", "yes", "~", ""], "5": {"b": "1"}, "on": 2}
    assert repr(found.values) == repr(wanted)


def test_places_of_the_first_two_levels_need_no_second_reading() -> None:
    page = open_page("a:\n  b: 1\n  c: {d: 2}\ne:\n- {f: 3}\n- [4]\n", file="f")
    near = [("a",), ("a", "b"), ("a", "c"), ("e",), ("e", 0), ("e", 1)]
    assert [str(page.key_position(path)) for path in near] == [
        *("f:1:1", "f:2:3", "f:3:3", "f:4:1", "f:5:3", "f:6:3"),
    ]
    assert "tree" not in vars(page)
    assert str(page.key_position(("a", "c", "d"))) == "f:3:7"
    assert str(page.position(("e", 1, 0))) == "f:6:4"
    assert "tree" in vars(page)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a", "b"), 1),
        (("e", 0, "f"), 3),
        (("e", 9, "f"), [{"f": 3}]),
        (("a", 0), {"b": 1}),
        (("a", "b", "c"), 1),
    ],
)
def test_a_value_is_what_is_there_or_the_last_thing_on_the_way(
    path: tuple[str | int, ...], value: object
) -> None:
    assert open_page("a: {b: 1}\ne: [{f: 3}]", file="f").value(path) == value
