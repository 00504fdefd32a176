"""
The scripts of the written plan, imported: what is wrong with each, at its line, by its number.

The tables were read against the list of the plan's known errors, line by line: an entry is there
because that error is at that place. A finding more or fewer is a failure.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.actions.registry import installed
from drctl.app.importing import import_file
from drctl.cli.main import app

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
SCRIPTS = HERE / "scripts"
PLAN = HERE / "written-plan.md"
BUILD = ROOT / "build" / "honesty"
BUILD.mkdir(parents=True, exist_ok=True)
WANTED = 25
REGISTRY = installed()

FIVE = {
    "database-recovery.sh": """
        5:1 E1 E10
        5:39 E6
        8:1 E2 E3 E8 E11 E12 E13 E14 E15 E20
        11:1 E9 E16 E17
        11:42 E6 E19
        11:78 E5
        14:14 E7
        14:56 E6
        18:57 E5
        26:14 E18
    """,
    "point-in-time-recovery.sh": """
        4:13 E21
        5:1 E30
        8:1 E1 E2 E3 E8 E9 E28
        11:1 E8 E22 E24
        12:5 E25
        16:5 E23
        19:1 E26
        25:1 E32
        25:42 E6 E31
        25:78 E5
        26:40 E29
    """,
    "application-recovery.sh": """
        5:1 E1
        9:21 E33
        10:1 E2 E3 E8 E9 E34
        13:1 E37
        16:1 E36
        17:48 E35
        26:1 E38
        26:14 E7
    """,
    "loadbalancer-recovery.sh": """
        5:1 E1 E39
        8:1 E2 E3 E8 E40 E48 E49
        10:15 E4
        10:31 E4
        11:23 E4
        16:20 E41
        20:14 E4
        26:49 E42
        27:5 E43
        31:1 E44 E47 E59
        31:58 E4
        31:84 E45 E46
    """,
    "regional-failover.sh": """
        5:8 E4
        9:1 E1 E2 E3 E51 E60
        10:1 E9 E56
        13:1 E20 E52 E53 E54
        16:1 E47 E51 E55 E59
        16:58 E4
        16:84 E45 E46
        29:1 E58 E67
    """,
}
TWO_MORE = {
    "update-status-page.sh": """
        4:1 E30
        8:1 E2 E3 E67 E71
        8:14 E4 E66
        9:28 E67
        11:6 E4
        14:19 E65
    """,
    "post-recovery-validation.sh": """
        4:1 E1
        8:1 E68
        8:9 E71
        12:1 E2 E3 E8
        12:14 E7
        16:35 E69
        25:1 E68
        25:17 E71
        29:1 E68 E71
        29:9 E72
        30:1 E68 E71
        30:9 E72
        34:1 E38
        34:14 E7
        34:82 E70
    """,
}
BLOCKS = {"health-check-endpoints": {"E50", "E64"}, "critical-alerts": {"E61", "E62"}}


def rows(table):
    return [line.strip() for line in table.strip().splitlines()]


def found(one):
    places = {}
    for finding in one.findings:
        places.setdefault((finding.at.line, finding.at.column), []).append(finding.source)
    return [f"{line}:{column} {' '.join(ids)}" for (line, column), ids in places.items()]


def imported(name):
    (one,) = import_file(SCRIPTS / name, REGISTRY)
    return one


@pytest.mark.parametrize("name", [*FIVE, *TWO_MORE])
def test_a_script_has_these_errors_at_these_places(name):
    assert rows({**FIVE, **TWO_MORE}[name]) == found(imported(name))


@pytest.mark.parametrize("name", [*FIVE, *TWO_MORE])
def test_its_draft_validates_and_every_line_has_a_fate(name):
    one = imported(name)
    assert one.draft and not one.problems
    text = (SCRIPTS / name).read_text()
    wanted = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    assert wanted == [line.number for line in one.account.lines]


def test_the_document_says_the_same_as_its_scripts():
    """Blocks of Markdown are found at their lines: each finding is that of the script, moved."""
    document = PLAN.read_text().split("\n")
    blocks = {one.script.name: one for one in import_file(PLAN, REGISTRY)}
    assert set(blocks) == {*FIVE, *TWO_MORE, *BLOCKS}
    for name in (*FIVE, *TWO_MORE):
        alone, block = imported(name), blocks[name]
        first = (SCRIPTS / name).read_text().split("\n")
        for one, other in zip(alone.findings, block.findings, strict=True):
            assert (one.id, one.at.column) == (other.id, other.at.column)
            assert first[one.at.line - 1] == document[other.at.line - 1]
    for name, sources in BLOCKS.items():
        assert {one.source for one in blocks[name].findings} == sources


def test_at_least_25_of_the_known_errors_are_found():
    per_script = {name: sorted({one.id for one in imported(name).findings}) for name in FIVE}
    ids = sorted({one for some in per_script.values() for one in some})
    whole = sorted({one.id for block in import_file(PLAN, REGISTRY) for one in block.findings})
    result = {
        "line": "the plan's five scripts, imported: findings by rule id",
        "wanted": WANTED,
        "found": len(ids),
        "ok": len(ids) >= WANTED,
        "rules": ids,
        "per_script": per_script,
        "whole_document": len(whole),
    }
    (BUILD / "import.json").write_text(json.dumps(result, indent=2) + "\n")
    assert len(ids) >= WANTED


def test_the_shipped_runbooks_have_no_finding_that_no_dated_waiver_names():
    """Judged by the command that a pull request runs."""
    shipped = sorted((ROOT / "runbooks").glob("*.yaml"))
    words = ["validate", *map(str, shipped), "-o", "json"]
    said = json.loads(CliRunner().invoke(app, words).stdout)
    found, waived = said["findings"], said["waived"]
    is_well = said["valid"] and not found and all(one["until"] for one in waived)
    row = {
        "line": f"findings of the {len(shipped)} shipped runbooks that no dated waiver names",
        "wanted": "0",
        "found": f"{len(found)}; waived with a date: {len(waived)}",
        "ok": is_well,
    }
    (BUILD / "shipped.json").write_text(json.dumps(row, indent=1) + "\n")
    assert is_well


def test_no_password_of_the_plan_is_in_a_draft_or_a_report():
    for one in import_file(PLAN, REGISTRY):
        said = one.draft + "".join(found.what for found in one.findings)
        assert "postgres:password" not in said
        assert "OAuth TOKEN" not in said


@pytest.mark.parametrize(
    ("name", "order"),
    [
        (
            "database-recovery.sh",
            "measure_lag go fence_old_primary promote repoint_app one_primary",
        ),
        ("point-in-time-recovery.sh", "restorable stop_app go fence_source restore look_into_it"),
        ("application-recovery.sh", "known_good roll_back scale_app wait_for_pods verify_public"),
        ("loadbalancer-recovery.sh", "ask_vendor go rebuild move_name verify_public"),
        ("regional-failover.sh", "announce measure_lag go promote scale_app move_traffic"),
    ],
)
def test_a_draft_is_in_the_order_that_recovers(name, order):
    lines = imported(name).draft.split("\n")
    ids = [line.split(": ")[1] for line in lines if line.startswith("  - id: ")]
    places = [ids.index(one) for one in order.split()]
    assert places == sorted(places)
