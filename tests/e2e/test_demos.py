"""The demo in its three forms: what drctl says, against what an independent client saw."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_lab import ROOT, lab_of

PROC = Path("/proc")


def demo(mode: str, net: int, tmp_path: Path) -> dict:
    lab = lab_of(net, tmp_path)
    shown = subprocess.run(
        ["sh", "examples/demo.sh", mode],
        env=lab.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert not _running(net), "the demo left processes"
    verdict = json.loads((tmp_path / "demo" / "verdict.json").read_text())
    if mode == "plain":
        owed = json.loads((tmp_path / "demo" / "debts.json").read_text())
        replace(lab, state=tmp_path / "demo" / "state").row(verdict, owed)
    return verdict


def _running(net: int) -> list[str]:
    found = []
    for entry in PROC.glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if any(
            f"127.{octet}." in command or f"--net {net} " in command
            for octet in range(net, net + 3)
        ):
            found.append(command)
    return found


@pytest.mark.lab
@pytest.mark.net(180)
@pytest.mark.timeout(300)
def test_a_lost_region_is_failed_over_and_both_clocks_agree(tmp_path):
    """RTA and the client's outage within 2 s; every lost write inside the reported bound."""
    verdict = demo("plain", 180, tmp_path)
    assert verdict["client"]["outage_s"] > 0
    assert verdict["agree"]["rta_within_s"] <= 2.0
    assert verdict["agree"]["loss_within_bound"] is True
    assert verdict["client"]["wrong_side_writes"] == 0


@pytest.mark.lab
@pytest.mark.net(184)
@pytest.mark.timeout(300)
def test_lost_writes_are_refused_then_accepted_and_lie_within_the_reported_bound(tmp_path):
    """The script itself asserts exit 5 at the RPO gate and exit 8 after the consent."""
    verdict = demo("loss", 184, tmp_path)
    assert verdict["client"]["lost_acknowledged"] > 0, (
        "the test proves nothing when nothing is lost"
    )
    assert verdict["agree"]["loss_within_bound"] is True
    assert verdict["agree"]["rta_within_s"] <= 2.0


@pytest.mark.lab
@pytest.mark.net(188)
@pytest.mark.timeout(300)
def test_a_living_old_primary_acknowledges_nothing_after_the_fence_and_nothing_is_lost(tmp_path):
    """The fence holds against clients that are still there."""
    verdict = demo("alive", 188, tmp_path)
    assert verdict["client"]["acknowledged"] > 0
    assert verdict["client"]["wrong_side_writes"] == 0
    assert verdict["client"]["lost_acknowledged"] == 0
    assert verdict["drctl"]["loss_bound_s"] == 0.0
