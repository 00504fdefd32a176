"""The fast way to read a runbook says exactly what the careful one says."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.registry import installed
from drctl.kernel.yaml_plain import read_plain
from drctl.runbook import check_runbook

SHIPPED = sorted((Path(__file__).parents[2] / "runbooks").glob("*.yaml"))
REGISTRY = installed()
ODD = (
    *("null", "~", "''", "yes", "012", "1e5", "[]", "{}", "[null]", "{a: null}", "&a x", "*a"),
    *("!t x", '"x"', "5", "true", "${{ env.name }}", '"${{ steps.again1.status }}"', "password=x1"),
    *("http.probe", "db.primary", "30s", "? x", "- x"),
)


def test_every_shipped_runbook_is_read_the_fast_way() -> None:
    assert SHIPPED
    assert all(read_plain(path.read_text()) is not None for path in SHIPPED)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHIPPED), st.integers(min_value=0, max_value=10**9))
def test_a_runbook_and_its_mistakes_are_the_same_either_way(path: Path, seed: int) -> None:
    """Also when steps are there twice, with a line of theirs changed: alike is read once."""
    text = _changed(path.read_text(), random.Random(seed))
    fast = check_runbook(text, registry=REGISTRY, file="f")
    with _carefully():
        assert check_runbook(text, registry=REGISTRY, file="f") == fast


@contextmanager
def _carefully() -> Iterator[None]:
    def nothing(_text: str) -> Any:
        return None

    with patch("drctl.kernel.yaml_page.read_plain", nothing):
        yield


def _changed(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    for number in range(chance.choice([0, 1, 3])):
        _again(lines, chance, number)
    for _ in range(chance.choice([0, 0, 1, 2])):
        at = chance.randrange(len(lines))
        key, colon, _value = lines[at].partition(":")
        lines[at] = f"{key}{colon} {chance.choice(ODD)}" if colon else lines[at][1:]
    return "\n".join(lines)


def _again(lines: list[str], chance: random.Random, number: int) -> None:
    """A step once more below itself, under another name, with one of its lines changed perhaps."""
    start = chance.choice([at for at, line in enumerate(lines) if line.startswith("  - id:")])
    end = start + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    block = [f"  - id: again{number}", *lines[start + 1 : end]]
    if len(block) > 1 and chance.random() < 0.5:
        at = chance.randrange(1, len(block))
        key, colon, value = block[at].partition(":")
        block[at] = f"{key}{colon} {chance.choice([f'&a{value}', f'!t{value}', *ODD])}"
    if chance.random() < 0.3:
        block.insert(
            1, f"    needs: {chance.choice(['[]', '[again0]', '5', '[5]', 'x', '[null]'])}"
        )
    if chance.random() < 0.3:
        block.insert(1, f"    title: {chance.choice(ODD)}")
    lines[end:end] = block
