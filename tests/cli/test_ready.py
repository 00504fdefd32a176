"""``drctl ready``: how it exits, each form of its answer, and what it takes for no answer."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app

ENVIRONMENT = """\
apiVersion: drctl/v1
kind: Environment
metadata: {{name: small, title: A room to talk in}}
world: lab
protected: false
targets:
  comms.incident_room:
    kind: slack.channel
    webhook: env:HOOK
    channel: "#incidents"
runbooks: {{{runbooks}}}
"""
RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: {name}, title: Tell the room, owner: platform}}
objectives: {{rto: 5m, rpo: 1m, clock: {{starts_at: run, stops_after: [tell]}}}}
targets: {{room: {target}}}
steps:
  - {{id: tell, uses: slack.message.post, target: room, with: {{text: hello}}, timeout: 10s,
     estimate: 1s}}
"""


SCRIPTS = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: scripts, title: Two scripts, owner: platform}}
objectives: {{rto: 5m, rpo: 1m, clock: {{starts_at: run, stops_after: [one]}}}}
steps:
  - {{id: one, uses: shell.command, with: {{argv: ["{program}", "${{{{ run.id }}}}"]}},
     timeout: 10s, estimate: 1s}}
  - {{id: two, uses: shell.command, with: {{argv: ["${{{{ steps.one.outputs.stdout }}}}"]}},
     needs: [one], timeout: 10s, estimate: 1s}}
"""


INPUT = "inputs: {incident: {type: string, description: Which one}}\n"


class Webhook(BaseHTTPRequestHandler):
    """Says to a GET what Slack says; a POST would have been a message."""

    def do_GET(self):
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"invalid_payload")

    def log_message(self, *_words):
        """Quiet."""


@pytest.fixture
def room(monkeypatch):
    """Somebody listens; what is posted is an error."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/services/T0/B0/x")
        yield server
        server.shutdown()


@pytest.fixture
def silence(monkeypatch):
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/services/T0/B0/x")


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scripts = tmp_path / "scripts.yaml"
    scripts.write_text(SCRIPTS.format(program="true"))
    runbooks = f"told: {tmp_path / 'told.yaml'}, strange: {tmp_path / 'strange.yaml'}"
    runbooks += f", validation: {scripts}"
    (tmp_path / "small.yaml").write_text(ENVIRONMENT.format(runbooks=runbooks))
    (tmp_path / "told.yaml").write_text(RUNBOOK.format(name="told", target="comms.incident_room"))
    (tmp_path / "strange.yaml").write_text(RUNBOOK.format(name="strange", target="comms.nowhere"))

    def run(*words, code=0):
        done = CliRunner().invoke(app, ["ready", "-e", str(tmp_path / "small.yaml"), *words])
        assert code == done.exit_code, done.output
        return done.stdout if code not in {2, 3} else done.output

    return run


@pytest.mark.usefixtures("room")
def test_what_holds_is_ready_and_no_promise(drctl):
    said = drctl("--scenario", "told")
    assert "told: READY" in said
    assert "4 prerequisites hold" in said
    assert "no promise" in said


@pytest.mark.usefixtures("silence")
def test_a_risk_exits_8_and_names_the_step_in_every_form(drctl):
    said = drctl("--scenario", "told", code=8)
    assert "told: AT RISK" in said
    assert "steps tell" in said
    [scenario] = json.loads(drctl("--scenario", "told", "-o", "json", code=8))["scenarios"]
    worst = scenario["judged"][0]
    assert (worst["check"], worst["standing"]) == ("slack.reachable", "at risk")
    suite = drctl("--scenario", "told", "-o", "junit", code=8)
    assert suite.count("<failure") == 1
    assert "Slack #incidents" in suite


@pytest.mark.usefixtures("room")
def test_a_runbook_that_does_not_fit_is_not_ready_and_hides_no_other(drctl, tmp_path):
    file = tmp_path / "drctl.prom"
    seen = json.loads(drctl("-o", "json", "--textfile", str(file), code=5))
    assert {one["scenario"]: one["result"] for one in seen["scenarios"]} == {
        "told": "ready",
        "strange": "not ready",
    }
    [broken] = [one for one in seen["scenarios"] if one["scenario"] == "strange"]
    assert "comms.nowhere" in broken["judged"][0]["why"]
    told = file.read_text().splitlines()
    assert 'drctl_ready{environment="small",scenario="told",assume_down=""} 1' in told
    assert 'drctl_ready{environment="small",scenario="strange",assume_down=""} 0' in told


@pytest.mark.usefixtures("room")
def test_a_place_that_is_misspelt_is_an_error_and_not_good_news(drctl):
    assert "nothing in small is in" in drctl("--scenario", "told", "--assume-down", "us-esat-1",
                                             code=3)  # fmt: skip


def test_a_scenario_that_nobody_names_is_an_error(drctl):
    assert "DR1093" in drctl("--scenario", "flood", code=3)
    assert 'did you mean "told"' in drctl("--scenario", "tol", code=3)


def test_a_verdict_says_of_how_many_steps_it_speaks(drctl):
    said = drctl("--scenario", "validation", code=8)
    assert "1 of 2 steps looked at" in said
    assert "changes something, and there is nothing to look at beforehand: two" in said
    [scenario] = json.loads(drctl("--scenario", "validation", "-o", "json", code=8))["scenarios"]
    assert (2, 1, ["two"]) == tuple(
        scenario[name] for name in ("steps", "looked_at", "unchecked_changes")
    )


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/nonexistent/program", "there is no such file"),
        ("no-such-program-at-all", "it is in none of /usr/local/sbin"),
        ("/etc/passwd", "this account may not run it"),
    ],
)
def test_a_program_that_is_not_here_is_found_before_the_night(drctl, tmp_path, program, why):
    (tmp_path / "scripts.yaml").write_text(SCRIPTS.format(program=program))
    [scenario] = json.loads(drctl("--scenario", "validation", "-o", "json", code=5))["scenarios"]
    [found] = [one for one in scenario["judged"] if one["check"] == "shell.program"]
    assert ("not ready", ["one"]) == (found["standing"], found["steps"])
    assert why in found["why"]


@pytest.mark.usefixtures("room")
def test_what_is_left_out_is_named_when_nobody_chose(drctl):
    said = drctl(code=5)
    assert "not asked unless named with --scenario: validation" in said
    assert "not asked" not in drctl("--scenario", "told")
    assert ["validation"] == json.loads(drctl("-o", "json", code=5))["not_asked"]


@pytest.mark.usefixtures("room")
def test_an_input_that_no_runbook_has_is_an_error(drctl, tmp_path):
    (tmp_path / "scripts.yaml").write_text(
        SCRIPTS.format(program="true").replace("steps:\n", INPUT + "steps:\n", 1)
    )
    both = ("--scenario", "told", "--scenario", "validation")
    drctl(*both, "-i", "incident=inc-1", code=8)
    said = drctl(*both, "-i", "incidant=inc-1", code=3)
    assert 'DR1080: there is no input "incidant"; did you mean "incident"?' in said


@pytest.mark.usefixtures("room")
def test_a_textfile_that_cannot_be_written_is_found_before_looking(drctl, tmp_path):
    for path, why in ((tmp_path / "no" / "x.prom", "there is no folder"), (tmp_path, "a folder")):
        said = drctl("--scenario", "told", "--textfile", str(path), code=2)
        assert why in " ".join(said.replace("│", " ").split())
        assert "READY" not in said


@pytest.mark.usefixtures("room")
def test_a_textfile_that_fails_late_takes_no_verdict_away(drctl, tmp_path, monkeypatch):
    def full(_path, _text):
        raise OSError(28, "No space left on device", f"{tmp_path}/.x.prom.abc.partial")

    monkeypatch.setattr("drctl.kernel.replace.replace_text", full)
    said = drctl("--scenario", "told", "--textfile", str(tmp_path / "x.prom"), code=2)
    assert "told: READY" in said
    assert "No space left" in said
    assert ".partial" not in said
