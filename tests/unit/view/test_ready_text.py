"""Readiness in the forms that other programs read."""

from xml.etree import ElementTree as ET

import pytest

from drctl.actions.check import Standing
from drctl.ready.model import Judged, Readiness, Scenario, Skipped, result_of
from drctl.view.ready_metrics import prometheus
from drctl.view.ready_text import changes, junit


def seen(*judged, at="2026-11-23T10:00:00+00:00"):
    one = Scenario(
        scenario="region-outage", runbook="r", title="T", result=result_of(judged), judged=judged,
        skipped=(Skipped(check="s", subject="t", why="u"),), steps=5, looked_at=3,
    )  # fmt: skip
    return Readiness(environment="prod", at=at, took_s=1.5, result=one.result, scenarios=(one,))


def judged(check, standing, why="w", **readings):
    return Judged(check=check, standing=standing, subject='s "x"\\\n\x1b[31m', why=why,
                  steps=("p",), do="d", readings=readings)  # fmt: skip


def test_a_report_for_ci_has_a_case_for_each_and_counts_what_failed():
    root = ET.fromstring(  # noqa: S314 (we have just written it)
        junit(
            seen(
                judged("a", Standing.NOT_READY), judged("b", Standing.CANNOT_TELL),
                judged("c", Standing.UNPROVEN), judged("d", Standing.HOLDS),
            )
        ).partition("?>")[2]
    )  # fmt: skip
    [suite] = root
    counts = ("tests", "failures", "errors", "skipped")
    assert ["5", "1", "1", "2"] == [suite.get(name) for name in counts]
    tags = {case.get("classname"): [child.tag for child in case] for case in suite}
    assert ["failure"] == tags["region-outage.a"]
    assert ["error"] == tags["region-outage.b"]
    assert [] == tags["region-outage.d"]


def test_metrics_are_one_line_each_whatever_a_vendor_says():
    text = prometheus(seen(judged("a", Standing.NOT_READY, lag_s=12.5, name="no number")), 17.25)
    lines = text.splitlines()
    assert 'drctl_ready{environment="prod",scenario="region-outage",assume_down=""} 0' in lines
    assert (
        'drctl_ready_steps{environment="prod",scenario="region-outage",assume_down="",'
        'looked_at="no"} 2' in lines
    )
    assert any('reading="lag_s"} 12.5' in line for line in lines)
    assert not any("no number" in line for line in lines)
    assert "\x1b" not in text
    assert all(line.startswith(("#", "drctl_ready")) for line in lines)
    assert any(line.startswith("drctl_ready_looked_at_seconds") for line in lines)


@pytest.mark.parametrize(
    ("standing", "ready", "at_risk"),
    [(Standing.HOLDS, 1, 0), (Standing.CANNOT_TELL, 0, 1), (Standing.AT_RISK, 0, 1),
     (Standing.NOT_READY, 0, 0)],
)  # fmt: skip
def test_an_alert_on_nought_fires_unless_all_is_well(standing, ready, at_risk):
    given = seen(judged("a", standing)).model_copy(update={"assume_down": ("us-east-1",)})
    whose = 'environment="prod",scenario="region-outage",assume_down="us-east-1"'
    lines = prometheus(given, 17.0).splitlines()
    assert f"drctl_ready{{{whose}}} {ready}" in lines
    assert f"drctl_ready_at_risk{{{whose}}} {at_risk}" in lines
    assert f"drctl_ready_not_looked_at{{{whose}}} 1" in lines


def test_a_series_is_written_once_with_the_worst_of_its_values():
    text = prometheus(
        seen(
            judged("a", Standing.HOLDS, lag_s=2, days_left=9),
            judged("a", Standing.HOLDS, lag_s=7, days_left=3),
            judged("a", Standing.HOLDS, lag_s=5, days_left=5),
        ),
        17.0,
    )
    lines = [line for line in text.splitlines() if line.startswith("drctl_ready_reading{")]
    assert ["7", "3"] == [line.rpartition(" ")[2] for line in lines]


def test_a_watch_prints_what_changed_and_not_what_only_grew():
    first = seen(judged("lag", Standing.NOT_READY, "12 s"))
    verdict = "2026-11-23T10:00:00+00:00 region-outage: not ready, 3 of 5 steps looked at"
    assert [verdict] == changes(None, first)[:1]
    assert [] == changes(first, seen(judged("lag", Standing.NOT_READY, "13 s")))
    mended = changes(first, seen(judged("lag", Standing.HOLDS)))
    assert 2 == len(mended)
    assert "ready (was not ready)" in mended[0]
    assert "- not ready: lag" in mended[1]
