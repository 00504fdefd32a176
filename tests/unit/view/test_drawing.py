"""A drawing of a runbook: complete, with nothing on top of anything, and no text that is markup."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from engine_model import step

from drctl.actions.contract import Effect
from drctl.actions.registry import installed
from drctl.app.runbooks import load
from drctl.plan.budget import Budget
from drctl.plan.graph import waves
from drctl.plan.inline import Room
from drctl.plan.sketch import Sketch, sketch
from drctl.view.drawing.layout import BOX_HEIGHT, layout, width_of
from drctl.view.drawing.markup import as_dot, as_mermaid
from drctl.view.drawing.svg import as_svg
from drctl.view.drawing.text import as_text

SHIPPED = sorted((Path(__file__).parents[3] / "runbooks").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"


def drawn(path):
    registry = installed()
    loaded = load(path, registry)
    return sketch(Room(scope="", source=loaded.source, registry=registry))


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda path: path.stem)
def shipped(request):
    return drawn(request.param)


def svg(one):
    return ET.fromstring(as_svg(one))  # noqa: S314 (we wrote it)


def test_every_step_is_in_every_form_once(shipped):
    ids = [one.id for one in (*shipped.steps, *shipped.final)]
    picture = svg(shipped)
    titles = [group.find(f"{SVG}title").text for group in picture.iter(f"{SVG}g")]
    assert sorted(ids) == sorted(title.partition(":")[0] for title in titles)
    assert len(re.findall(r"(?m)^ +s\d+[\[({]", as_mermaid(shipped))) == len(ids)
    assert as_dot(shipped).count("[label=") == len(ids)
    lines = as_text(shipped).splitlines()
    assert [one for line in lines for one in ids if f" {one} " in line[:80]][: len(ids)]
    assert all(any(re.search(rf"\s{re.escape(one)}\s", line) for line in lines) for one in ids)


def test_no_box_is_on_another_and_no_line_runs_through_a_box(shipped):
    widths = {one.id: width_of(one.id, "x" * 30, 12) for one in shipped.steps}
    placed = layout(shipped, widths)
    boxes = list(placed.boxes.items())
    for number, (name, one) in enumerate(boxes):
        for other_name, other in boxes[number + 1 :]:
            is_apart = abs(one.x - other.x) >= (one.width + other.width) / 2
            assert one.y != other.y or is_apart, (name, other_name)
    for edge, points in placed.lines.items():
        for x, y in points[1:-1]:
            for name, box in boxes:
                is_in_row = box.y <= y <= box.y + BOX_HEIGHT
                assert not (is_in_row and abs(x - box.x) < box.width / 2), (edge, name)


def test_the_critical_path_is_one_straight_line(shipped):
    widths = {one.id: 168.0 for one in shipped.steps}
    placed = layout(shipped, widths)
    assert {placed.boxes[name].x for name in shipped.critical_path} == {0.0}


def test_everything_is_inside_the_picture(shipped):
    picture = svg(shipped)
    left, top, width, height = map(float, picture.get("viewBox").split())
    for box in picture.iter(f"{SVG}rect"):
        x, y = float(box.get("x")), float(box.get("y"))
        assert x >= left
        assert y >= top
        assert x + float(box.get("width")) <= left + width + 1
        assert y + float(box.get("height")) <= top + height + 1


def test_an_edge_that_says_what_others_say_is_left_out_and_no_order_is_lost(shipped):
    by_id = {one.id: one for one in shipped.steps}

    def above(name, needs):
        found, left = set(), [name]
        while left:
            for need in needs(left.pop()):
                if need not in found:
                    found.add(need)
                    left.append(need)
        return found

    for name in by_id:
        shown = above(name, lambda one: [a for a, b in shipped.edges if b == one])
        assert shown == above(name, lambda one: by_id[one].needs)
    assert len(shipped.edges) <= sum(len(one.needs) for one in shipped.steps)


def test_the_line_after_which_nothing_goes_back():
    one = drawn(next(path for path in SHIPPED if path.stem == "region-failover"))
    assert one.waves[one.is_final_after] == ("promote",)
    assert "no way back after promote" in as_text(one)
    assert any("no way back after promote" == text.text for text in svg(one).iter(f"{SVG}text"))
    assert "1 of incident-commander must say go" in as_text(one)
    verdict = "critical path 9m26s and detection 3m of RTO 15m: 2m34s to spare"
    assert verdict in as_text(one)
    assert f"{verdict}; no way back after promote" == svg(one).find(f"{SVG}desc").text
    assert "detection 3m" in as_mermaid(one)
    assert verdict in as_dot(one)
    late = Budget(rto_s=900.0, detection_s=600.0, in_budget=True)
    assert "it does not fit" in as_text(replace(one, budget=late))
    nobody_said = Budget(rto_s=900.0, detection_s=None, in_budget=True)
    assert "5m34s to spare, without detection" in as_text(replace(one, budget=nobody_said))
    assert "s7 ==> s8" in as_mermaid(one)
    looks = drawn(next(path for path in SHIPPED if path.stem == "post-recovery-validation"))
    assert looks.is_final_after is None
    assert "no way back after" not in as_text(looks)
    assert svg(looks).find(f".//{SVG}line") is None


EVIL = (
    '"]; click s0 "javascript:alert(1)"',
    "</text><script>alert(1)</script>",
    "]]> --> <!ENTITY x>",
    'a"b\\n\\N\\"; x [label=owned]; //',
    "new\nline %%{init: {}}%% #quot; end",
    "\x1b[31m\x00\u202e\ud800",
    "&lt; & ; ' `",
    "x" * 999,
)


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_no_text_is_markup(evil):
    text = evil.encode("utf-8", "backslashreplace").decode()
    steps = (step(text, effect=Effect.PROMOTE, title=text), step("b", gate="g", needs=(text,)))
    one = Sketch(
        name=text, title=text, steps=steps, final=(step("c", title=text),), waves=waves(steps),
        edges=((text, "b"),), approvers={"b": text}, critical_path=(text, "b"),
        forecast_s=1.0, budget=Budget(rto_s=2.0, detection_s=None, in_budget=False),
    )  # fmt: skip
    tags = {node.tag.removeprefix(SVG) for node in svg(one).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "path", "line", "g"}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", as_svg(one) + as_mermaid(one) + as_dot(one))
    assert "url(" not in as_svg(one)
    for line in as_mermaid(one).splitlines():
        assert line.count('"') in {0, 2}
        assert "click" not in re.sub(r'"[^"]*"', "", line)
    for line in as_dot(one).splitlines():
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert '"' not in bare
        assert "owned" not in bare
    assert len(as_text(one).splitlines()) == 7
    plain = replace(one, title="plain", name="plain")
    assert svg(plain).find(f"{SVG}title").text == "plain"


def test_it_is_readable_in_light_and_in_dark():
    """Contrast of what is written against what it stands on, by WCAG's formula; 4.5 is its AA."""
    style = svg(drawn(SHIPPED[0])).find(f"{SVG}style").text
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in style.split("@media")
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        grounds = [name for name in colours if f"{name}-line" in colours] + ["paper"]
        for ground in grounds:
            for ink in ("ink", "dim"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert contrast(colours["final-line"], colours["paper"]) >= 4.5


def contrast(one, other):
    def light(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
