"""Orders from a second process to a live one, and to one that has ended; the real binary."""

import json
import shutil
import signal


def ends(child, code):
    said, _nothing = child.communicate(timeout=30)
    assert child.returncode == code, said
    return said


def test_a_live_run_is_paused_looked_at_and_let_go_on(estate):
    child = estate.start(estate.runbook(held=True))
    estate.wait_for("step_started")
    assert "pause taken by run" in estate.drctl("pause", "latest", "--reason", "wait for the boss")
    estate.hold("first").unlink()
    estate.wait_for('"step":"first","type":"step_finished"')
    shown = estate.drctl("status")
    assert "PAUSED by" in shown
    assert "wait for the boss" in shown
    assert "waiting    second" in shown
    assert "drctl resume" in shown
    assert "DR3008" in estate.drctl("pause", "latest", code=5)
    document = json.loads(estate.drctl("status", "latest", "-o", "json"))
    assert document["paused_by"]["reason"] == "wait for the boss"
    assert document["steps"] == {"first": "succeeded", "second": "waiting"}
    assert child.poll() is None, "it stays"
    assert "continue taken by run" in estate.drctl("resume", "latest")
    said = ends(child, 0)
    assert "PAUSED by" in said
    assert ["on", "on"] == estate.values("first", "second")


def test_a_live_run_is_cancelled_and_then_undone(estate):
    child = estate.start(estate.runbook(held=True))
    estate.wait_for("effect_intended")
    taken = json.loads(estate.drctl("cancel", "latest", "--reason", "false alarm", "-o", "json"))
    assert ("cancel", True) == (taken["order"], taken["taken"])
    estate.hold("first").unlink()
    said = ends(child, 6)
    assert "cancelled by" in said
    assert "drctl undo" in said
    assert ["on", "off"] == estate.values("first", "second"), "what ran has finished"
    refused = estate.drctl("resume", "latest", code=5)
    assert "DR3007" in refused
    no = estate.drctl("undo", "latest", "--reason", "x", "--confirm", "nope", code=5)
    assert "undo   first" in no
    assert "DR3102" in no
    assert ["on", "off"] == estate.values("first", "second")
    undone = estate.drctl("undo", "latest", "--reason", "false alarm", "--confirm", "model")
    assert "undone: first" in undone
    assert ["off", "off"] == estate.values("first", "second")
    assert "undone already" in estate.drctl(
        "undo", "latest", "--reason", "x", "--confirm", "model", code=5
    )
    assert "undone" in estate.drctl("runs", "list")
    estate.drctl("runs", "verify", "latest")


def test_an_open_gate_is_in_the_status_with_the_command_that_answers_it(estate):
    child = estate.start(estate.runbook(gate=True))
    estate.wait_for("gate_opened")
    shown = estate.drctl("status")
    assert "GATE go" in shown
    command = next(line for line in shown.splitlines() if "drctl approve" in line).split()
    assert "nobody skips it" in estate.drctl("skip", "latest", "go", "--reason", "x", code=5)
    estate.drctl(*command[command.index("approve") :])
    ends(child, 0)


def test_a_failed_run_is_mended_in_the_terminal_in_which_that_is_typed(estate):
    runbook = estate.runbook()
    estate.switch("second").with_suffix(".stuck").touch()
    said = ends(estate.start(runbook), 6)
    assert "drctl retry" in said
    assert "drctl skip" in said
    assert "drctl undo" in said
    assert "drctl retry" in estate.drctl("resume", "latest", code=5)
    still = estate.drctl("retry", "latest", "second", code=6)
    assert "the switch is stuck" in still
    estate.switch("second").with_suffix(".stuck").unlink()
    estate.drctl("retry", "latest", "second")
    assert ["on", "on"] == estate.values("first", "second")
    estate.drctl("note", "latest", "the switch was stuck")
    assert "succeeded" in estate.drctl("status", "latest", "--exit-status")
    assert "the switch was stuck" in estate.drctl("runs", "show", "latest")
    assert "DR3008" in estate.drctl("skip", "latest", "second", "--reason", "x", code=5)


def test_an_undo_that_fails_shows_both_errors_and_goes_on_when_it_is_typed_again(estate):
    runbook = estate.runbook()
    estate.switch("second").with_suffix(".stuck").touch()
    ends(estate.start(runbook), 6)
    estate.switch("first").with_suffix(".stuck").touch()
    words = ("undo", "latest", "--reason", "back", "--confirm", "model")
    said = estate.drctl(*words, code=6)
    assert "undo of step first failed (conflict)" in said
    assert "step second failed (conflict)" in said
    assert ["on", "off"] == estate.values("first", "second")
    estate.switch("first").with_suffix(".stuck").unlink()
    estate.drctl(*words)
    assert ["off", "off"] == estate.values("first", "second")


def test_a_killed_run_is_taken_up_from_a_copy_of_its_folder(estate, tmp_path):
    """Another state home, another lock: all that is needed is in the folder."""
    child = estate.start(estate.runbook(held=True))
    estate.wait_for("effect_intended")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    estate.hold("first").unlink()
    with estate.journal.open("ab") as file:
        file.write(b'{"torn')
    elsewhere = tmp_path / "other" / "drctl" / "runs"
    elsewhere.mkdir(parents=True)
    shutil.copytree(estate.journal.parent, elsewhere / estate.journal.parent.name)
    for folder in (elsewhere, elsewhere.parent):
        folder.chmod(0o700)
    other = {"XDG_STATE_HOME": str(tmp_path / "other")}
    said = estate.drctl("resume", "latest", env=other)
    assert "a torn last line of 6 bytes was dropped" in said
    assert ["on", "on"] == estate.values("first", "second")


def test_an_order_for_nobody_is_refused(estate):
    ends(estate.start(estate.runbook()), 0)
    assert "DR3008" in estate.drctl("pause", "latest", code=5)
    assert "DR4004" in estate.drctl("cancel", "nope", "--reason", "x", code=3)
    assert "--reason" in estate.drctl("cancel", "latest", code=2)
    assert "DR3102" in estate.drctl("force-ungraceful", "latest", "--reason", "x", code=5)


def test_the_shell_is_offered_runs_and_their_steps(estate, monkeypatch):
    from types import SimpleNamespace

    from drctl.cli import complete

    ends(estate.start(estate.runbook()), 0)
    monkeypatch.setenv("XDG_STATE_HOME", str(estate.folder / "state"))
    run = estate.journal.parent.name
    assert ["latest", run] == complete.runs("")
    assert [run] == complete.runs(run[:6])
    assert ["second"] == complete.steps(SimpleNamespace(params={"run": run}), "s")
    assert [] == complete.steps(SimpleNamespace(params={"run": "nope"}), "")


def test_a_reader_who_goes_away_ends_no_run(estate):
    """As in ``drctl run … | head -1``: it goes on to its end, and its exit code is the run's."""
    child = estate.start(estate.runbook(held=True))
    estate.wait_for("step_started")
    child.stdout.close()
    estate.hold("first").unlink()
    assert child.wait(timeout=30) == 0
    assert ["on", "on"] == estate.values("first", "second")
