"""
I18: a region is lost, chat and status page hang, and the only approver is elsewhere with a key and
nothing else. Ten times the recovery completes, and its last words say who let it go on, and how.
"""

import asyncio
import re

import pytest
import results
from integrity_model import KEYS
from test_plan_file import ENVIRONMENT, INPUTS, RUNBOOK

from drctl.actions.registry import installed
from drctl.app.answering import answer_gate, open_gate
from drctl.app.compose import Parts, logins
from drctl.app.planning import plan_runbook
from drctl.app.running import Consent, preflight, run_plan
from drctl.app.signing import asked, make_key, read_asked, signed_elsewhere
from drctl.cli import execute
from drctl.cli.output import Color, Format
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.statement import write_question
from drctl.kernel.errors import CredentialsError, RefusedError
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.world import Ledger, World, registry_of

SCENARIOS = ENVIRONMENT.parent


def world() -> World:
    from drctl.kernel import yaml_text, yaml_tree

    text = (SCENARIOS / "base_world.yaml").read_text()
    base = yaml_tree.plain(yaml_text.read(text, file="base").root)
    for name in ("slack.message.post", "statuspage.incident.open", "statuspage.incident.update"):
        base["actions"][name] = base["actions"].get(name, {}) | {
            "faults": [{"call": n, "error": "hang"} for n in range(1, 9)]
        }
    return World.model_validate(base)


class Elsewhere:
    """Watches the run; when the gate opens, carries the question away and an answer back."""

    def __init__(self, parts, key):
        self._parts, self._key, self._run = parts, key, ""
        self.shown = {}

    def opened(self, plan, folder):
        self._run = folder.run_id

    def seen(self, record, state):
        if isinstance(record.event, e.GateOpened):
            asyncio.get_running_loop().call_later(20, self._answer, record.event.step)

    def _answer(self, gate):
        folder, state = open_gate(self._parts, self._run, gate)
        line = write_question(asked(folder.plan(), state, gate))
        self.shown = read_asked(line)
        token = signed_elsewhere(self._parts, self.shown, "approve", "region is gone", self._key)
        answer_gate(self._parts, self._run, gate, "approve", "", token=token)

    def said(self, step, text): ...
    def tick(self, state): ...
    def closed(self): ...


def drill(folder, number):
    folder.mkdir()
    key = folder / "alice.key"
    public = make_key(key)
    people = (
        "people:\n"
        f'  alice: {{roles: [incident-commander], keys: ["{public}"]}}\n'
        f"  zoe: {{login: {logins()[0]}, roles: [incident-commander],"
        f' keys: ["{KEYS[0].public}"]}}\n'
    )
    (folder / "e.yaml").write_text(ENVIRONMENT.read_text() + people)
    ledger = Ledger()

    async def main():
        parts = Parts(
            registry=registry_of(world(), installed(), ledger),
            clock=VirtualClock(),
            secrets=LocalSecrets(),
            runs=folder / "runs",
        )
        environment = str(folder / "e.yaml")
        plan = await plan_runbook(parts, str(RUNBOOK), environment, INPUTS)
        preflight(plan, Consent())
        elsewhere = Elsewhere(parts, key)
        end, run = await run_plan(parts, plan, Consent(), [elsewhere])
        return plan, end, run, elsewhere

    return run_virtual(main()), key


def test_ten_drills_with_everything_else_gone(tmp_path, capsys):
    ill, drills = [], 10 if results.is_full() else 3
    for number in range(drills):
        (plan, end, run, elsewhere), key = drill(tmp_path / str(number), number)
        manner = execute.Manner(output=Format.TEXT, color=Color.NEVER, no_input=True)
        execute._tell(end, run, manner)
        words = capsys.readouterr().out
        loud = re.search(
            r"BREAK-GLASS: gate go: approve OFFLINE by alice, key SHA256:[0-9a-f]{16}: region is",
            words,
        )
        if end.result != "succeeded" or not loud:
            ill.append(words)
        assert elsewhere.shown["digest"] == plan.digest
        assert elsewhere.shown["no_way_back"] == ["promote"]
        assert elsewhere.shown["things_changed"] == 4
        assert key.read_text().strip().split(":")[-1] not in (run.journal.read_text() + words)
    results.record("integrity", "I18", cases=drills, violations=len(ill))
    assert ill == []


def test_a_key_is_for_its_owner_alone(tmp_path):
    key = tmp_path / "k"
    make_key(key)
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_text()
    with pytest.raises(RefusedError, match="DR3307"):
        make_key(key)
    assert before == key.read_text()
    key.chmod(0o640)
    parts = Parts(registry=installed(), clock=VirtualClock(), secrets=LocalSecrets(), runs=tmp_path)
    question = {"digest": "d", "run": "r", "gate": "g", "environment": "e", "people": {}}
    with pytest.raises(CredentialsError):
        signed_elsewhere(parts, question, "approve", "x", key)
