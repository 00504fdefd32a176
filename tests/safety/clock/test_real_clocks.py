"""Real processes whose boot clocks differ: one writes a run, another takes it up."""

import json
import subprocess
import sys

import pytest
from sim_plans import shipped

from drctl.cli.execute import Manner, _tell
from drctl.cli.output import Color, Format
from drctl.engine.events import RunFinished
from drctl.journal.folder import Folder
from drctl.kernel.clock import SystemClock, boot_id

WRITE = """
import json, sys
from pathlib import Path
from drctl.engine.events import RunStarted
from drctl.journal.folder import Journal
from drctl.kernel.clock import SystemClock
from drctl.kernel.ids import RunId
from drctl.plan.model import Plan
plan = Plan.model_validate_json(Path(sys.argv[2]).read_text())
journal = Journal.create(Path(sys.argv[1]), RunId("run"), plan, SystemClock())
journal.append(RunStarted(run_id="run", plan_digest=plan.digest, runbook="", environment="",
    world="simulated", operator="a", host="h", version="0", rto_s=1, rpo_s=1,
    elapsed_before_s=30.0, clock_source="flag"))
"""
READ = """
import json, sys
from pathlib import Path
from drctl.engine.events import RunResumed
from drctl.engine.fold import fold
from drctl.engine.state import initial
from drctl.journal.folder import Folder, Journal
from drctl.kernel.clock import SystemClock
folder = Folder(path=Path(sys.argv[1]) / "run")
plan = folder.plan()
journal, chain = Journal.take_up(folder, SystemClock())
record = journal.append(RunResumed(operator="b", host="h", version="0"))
state = initial(plan)
for one in (*chain.records, record):
    state = fold(plan, state, one)
length = state.elapsed(record.at)
print(json.dumps([length.seconds, length.is_certain]))
"""


def _shifted(offset_s: int) -> list[str]:
    return ["unshare", "--time", "--boottime", str(offset_s)] if offset_s else []


def _can_shift() -> bool:
    try:
        done = subprocess.run([*_shifted(1000), "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not _can_shift(), reason="no right to make a time namespace (unshare --time)")
@pytest.mark.parametrize(
    ("wrote", "reads"), [(0, 0), (100_000, 0), (0, 100_000), (100_000, 500), (500, 100_000)]
)
def test_a_run_that_is_taken_up_where_boot_time_differs(tmp_path, wrote, reads):
    """The kernel's boot id is the same in every time namespace; lengths across two are not."""
    plan = tmp_path / "plan.json"
    plan.write_text(shipped().plan.model_dump_json())
    runs = str(tmp_path / "runs")
    for offset_s, code, more in ((wrote, WRITE, [str(plan)]), (reads, READ, [])):
        command = [*_shifted(offset_s), sys.executable, "-c", code, runs, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, is_certain = json.loads(done.stdout)
    assert 30.0 <= seconds < 60.0, "half a minute before, and what two processes take to start"
    assert is_certain is (wrote == reads)


def test_the_boot_has_one_name_in_this_process():
    """Two readings of one process may be subtracted."""
    assert SystemClock().now().boot_id == boot_id() == SystemClock().now().boot_id


@pytest.mark.parametrize("is_certain", [True, False])
def test_a_person_is_told_that_a_length_is_not_certain(tmp_path, monkeypatch, capsys, is_certain):
    """In the last words of a run."""
    monkeypatch.setattr("drctl.cli.execute._notes", lambda _folder: [])
    monkeypatch.setattr("drctl.app.ending.troubles", lambda *_folder: ())
    end = RunFinished(
        result="succeeded", why="every step is settled", changed=True, rta_s=75.0, rto_s=900.0,
        loss_bound_s=None, safe_until=None, rpo_s=300.0, rta_is_certain=is_certain,
    )  # fmt: skip
    _tell(
        end,
        Folder(path=tmp_path / "run"),
        Manner(output=Format.TEXT, color=Color.NEVER, no_input=True),
    )
    told = capsys.readouterr().out
    assert ("not certain: the machine was rebooted" in told) is not is_certain
    assert "RTA 1m15s" in told
    assert "RPA not measured" in told
