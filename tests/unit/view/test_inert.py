"""Nothing that came from outside acts on the terminal, whichever way it is shown."""

import io

import pytest
from engine_model import Fake, drive, plan_of, started, step
from rich.console import Console

from drctl.actions.contract import Effect
from drctl.engine import events as e
from drctl.engine.state import initial
from drctl.plan.model import LossLook, PlannedPin, Prediction
from drctl.view.jsonl import JsonLines
from drctl.view.lines import describe
from drctl.view.page import Page
from drctl.view.plan_text import show_plan
from drctl.view.replay import replay
from drctl.view.table import show_table

EVIL = ["\x1b]52;c;eA==\x07", "\x9b2J", "\u202e", "\r\nforged: run succeeded", "[red]x[/y]"]


def is_inert(text):
    assert not set(text) & set("\x1b\x07\x9b\u202e\r"), ascii(text)
    assert not [line for line in text.split("\n") if line.startswith("forged")]


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_what_a_run_tells_is_inert(evil):
    plan = plan_of(step("a", effect=Effect.CHANGE, title=evil))
    told = []
    ran = drive(plan, Fake("a", gives={"x": evil}))
    replay(plan, initial(plan), ran.records, "run", told.append)
    json_view = JsonLines(told.append)
    for record in ran.records:
        json_view.seen(record, ran.state)
    for line in told:
        is_inert(line)
        assert "\n" not in line
    assert any("x=" in line for line in told)


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_plan_is_inert_and_fits_a_narrow_terminal(evil, width):
    plan = plan_of(
        step(
            "a",
            effect=Effect.CHANGE,
            title=evil,
            when=evil,
            prediction=Prediction(symbol="~", before=evil, after=evil, why=evil),
        ),
        title=evil,
        inputs={"x": evil},
        pins=[PlannedPin(name="n", subject=evil, targets=("room",), expected="us", found=evil)],
        loss=LossLook(step="a", bound_s=None, source=evil),
    )
    stream = io.StringIO()
    show_plan(plan, Page.of(Console(file=stream, width=width)))
    is_inert(stream.getvalue())
    assert all(len(line) <= width for line in stream.getvalue().split("\n"))


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_a_gate_and_the_start_of_a_run_are_inert(evil):
    gate = e.GateOpened(
        step="a", gate="g", title=evil, show=("x",), approvers=(), quorum=1, expires_s=1
    )
    for event in (gate, started(plan_of(), operator=evil, clock_source=evil)):
        text = describe(event, "run")
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_a_table_is_inert(evil):
    stream = io.StringIO()
    show_table(Console(file=stream, width=80), ("A", "B"), [[evil, evil]])
    is_inert(stream.getvalue())
