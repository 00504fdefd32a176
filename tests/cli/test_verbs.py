"""The emergency verbs: what each chooses, what it asks, what it hands to its runbook."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.app import runbooks
from drctl.cli.main import app
from drctl.cli.verbs import VERBS
from drctl.plan.make import Planner

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "scenarios" / "environment.yaml"

RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: mine, title: Mine, owner: platform{scenario}}}
objectives: {{rto: 5m, rpo: 1m, clock: {{starts_at: run, stops_after: [tell]}}}}
inputs:
  time: {{type: string, default: never}}
  to_region: {{type: string, default: us-west-2}}
  incident: {{type: string}}
targets: {{room: comms.incident_room, app: app.recovery}}
steps:
  - id: tell
    uses: http.probe
    target: app
    with: {{path: "/${{{{ inputs.time }}}}/${{{{ inputs.incident }}}}"}}
    timeout: 5s
"""


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    async def looked(self, plan):
        return plan.model_copy(update={"is_offline": False, "pins": ()}).sealed()

    monkeypatch.setattr(Planner, "look", looked)
    # Not those that are shipped: there may be one for every scenario.
    monkeypatch.setattr(runbooks, "runbook_folders", lambda: (Path("runbooks"),))

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert code == result.exit_code, (arguments, result.output)
        return result

    return run


def environment(tmp_path, *scenarios, runbook="mine.yaml"):
    names = "".join(f"  {name}: {tmp_path / runbook}\n" for name in scenarios)
    file = tmp_path / "env.yaml"
    file.write_text(MODEL.read_text() + (f"runbooks:\n{names}" if scenarios else ""))
    (tmp_path / runbook).write_text(RUNBOOK.format(scenario=""))
    return file


def words(verb, *more):
    moment = ("--to", "2026-11-22T10:04:05Z") if verb.to else ()
    return (*verb.words, *moment, *more)


IDS = [" ".join(verb.words) for verb in VERBS]


def test_no_two_verbs_are_for_the_same():
    assert len({verb.scenario for verb in VERBS}) == len(VERBS) == len({v.words for v in VERBS})


@pytest.mark.parametrize("verb", VERBS, ids=IDS)
def test_a_verb_says_what_it_would_choose_and_why(drctl, tmp_path, verb):
    env = environment(tmp_path, verb.scenario)
    said = drctl(*words(verb, "-e", env, "--list")).stdout
    assert said.startswith("mine (")
    assert verb.scenario in said
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("verb", VERBS, ids=IDS)
def test_a_verb_runs_nothing_before_the_name_was_typed(drctl, tmp_path, verb):
    env = environment(tmp_path, verb.scenario)
    wanted = "us-west-2" if verb.confirm else "model"
    assert f"--confirm {wanted}" in drctl(*words(verb, "-e", env), code=5).output
    other = "model" if verb.confirm else "us-west-2"
    assert "DR3102" in drctl(*words(verb, "-e", env, "--confirm", other), code=5).output
    assert not (tmp_path / "state" / "drctl" / "runs").exists()


def test_a_moment_is_asked_for_and_reaches_the_runbook(drctl, tmp_path):
    env = environment(tmp_path, "database-corruption")
    assert "say which moment" in drctl("restore", "database", "-e", env, code=2).output
    for half in ("2026-11-22", "2026-11-22T10:04:05"):
        said = drctl("restore", "database", "-e", env, "--to", half, code=2).output
        assert "has no offset" in said
    assert drctl("restore", "database", "-e", env, "--list").stdout.startswith("mine (")
    seen = []

    def planned(self, runbook, sha256, environment, inputs, real=Planner.draft, **more):
        seen.append(inputs)
        return real(self, runbook, sha256, environment, inputs, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Planner, "draft", planned)
        given = ("restore", "database", "-e", env, "--to", "2026-11-22T10:04:05Z")
        drctl(*given, "--incident", "inc-1", code=5)
    assert [("2026-11-22T10:04:05Z", "inc-1")] == [(one["time"], one["incident"]) for one in seen]


def test_two_runbooks_for_the_same_are_a_question_not_a_guess(drctl, tmp_path, monkeypatch):
    folder = tmp_path / "runbooks"
    folder.mkdir()
    for name in ("one", "two"):
        text = RUNBOOK.format(scenario=", scenario: security-breach").replace("mine", name)
        (folder / f"{name}.yaml").write_text(text)
    env = environment(tmp_path)
    refused = drctl("isolate", "app", "-e", env, "--list", code=3).output
    assert "DR1093" in refused
    assert "security-breach: NAME" in refused


def test_of_two_runbooks_the_one_that_fits_the_environment_is_taken(drctl, tmp_path):
    folder = tmp_path / "runbooks"
    folder.mkdir()
    for name, target in (("one", "app.recovery"), ("two", "app.nowhere")):
        text = RUNBOOK.format(scenario=", scenario: security-breach").replace("mine", name)
        (folder / f"{name}.yaml").write_text(text.replace("app.recovery", target))
    said = drctl("isolate", "app", "-e", environment(tmp_path), "--list").stdout
    assert said.startswith("one (")
    assert "(not two)" in said
