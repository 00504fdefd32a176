"""
I15: what was approved is what runs. Every byte of a saved plan, every file it was made from, and
every moment between hashing and reading.
"""

import asyncio
import hashlib
import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import results
from integrity_model import draws, gated, open_now, some_people

from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.planning import plan_runbook
from drctl.app.runbooks import load
from drctl.app.running import run_plan
from drctl.app.saved import read_plan, still_holds
from drctl.app.validity import require_current
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.journal.folder import Journal
from drctl.kernel.clock import Instant, SystemClock
from drctl.kernel.errors import DrctlError, InvalidError, RefusedError
from drctl.plan.model import Plan
from drctl.simulated.world import Ledger, World, registry_of

ROOT = Path(__file__).parents[3]
RUNBOOK = ROOT / "runbooks" / "region-failover.yaml"
ENVIRONMENT = ROOT / "tests" / "scenarios" / "environment.yaml"
INPUTS = {"incident": "inc-20261122-001"}


class SetClock(SystemClock):
    """The machine's clock, with a wall that somebody sets."""

    def __init__(self):
        self.off = timedelta()

    def now(self):
        now = super().now()
        return Instant(wall=now.wall + self.off, boot_s=now.boot_s, boot_id=now.boot_id)


@pytest.fixture
def made(tmp_path):
    """A folder with a runbook and an environment of its own, and the parts to plan with."""
    shutil.copy(RUNBOOK, tmp_path / "r.yaml")
    people = "people:\n  zoe: {login: zoe, roles: [x], keys: ['KEY']}\n"
    from integrity_model import KEYS

    text = ENVIRONMENT.read_text() + people.replace("KEY", KEYS[0].public)
    (tmp_path / "e.yaml").write_text(text)
    parts = Parts(
        registry=registry_of(World(), installed(), Ledger()),
        clock=SetClock(),
        secrets=LocalSecrets(),
        runs=tmp_path / "runs",
    )
    return parts, tmp_path


def plan(parts, folder, **more):
    files = str(folder / "r.yaml"), str(folder / "e.yaml")
    return asyncio.run(plan_runbook(parts, *files, INPUTS, **more))


def save(folder, saved):
    path = folder / "plan.json"
    path.write_bytes(saved.as_saved())
    return path


def test_every_byte_of_a_saved_plan(made):
    """One bit of each byte, in every place of a plan of the shipped runbook."""
    parts, folder = made
    saved = plan(parts, folder)
    path = save(folder, saved)
    data = path.read_bytes()
    assert saved == read_plan(path)
    assert len(data) > 20_000
    draw, accepted = random.Random(15), []
    places = range(0, len(data), 1 if results.is_full() else 25)
    for at in places:
        flipped = bytearray(data)
        flipped[at] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            read_plan(path)
            accepted.append(at)
        except InvalidError:
            pass
    results.record("integrity", "I15", cases=len(places), violations=len(accepted))
    assert accepted == []


CHANGES = {
    "a default": ("r.yaml", "default: 5\n", "default: 6\n", "runbook_sha256"),
    "an estimate": ("r.yaml", "estimate: 3s", "estimate: 4s", "measure_lag.estimate_s"),
    "a timeout": ("r.yaml", "timeout: 6m", "timeout: 7m", "promote.timeout_s was 360.0, is 420.0"),
    "the order": ("r.yaml", "needs: [promote, prewarm_app]", "needs: [promote]", "repoint_app"),
    "a quorum": ("r.yaml", "quorum: 1", "quorum: 2", "gates.go.quorum was 1, is 2"),
    "approvers": ("r.yaml", "[incident-commander]", "[anybody]", "gates.go.approvers"),
    "an expiry": ("r.yaml", "expires_after: 3m ", "expires_after: 9m ", "gates.go.expires_s"),
    "a retry": ("r.yaml", "attempts: 3, backoff: 5s", "attempts: 9, backoff: 5s", "retry.attempts"),
    "a comment": ("r.yaml", "# The order is the point", "# The point is", "r.yaml is another text"),
    "a target": ("e.yaml", "instance: orders-dr", "instance: others", "db.recovery.instance"),
    "an account": ("e.yaml", '"123456789012"', '"999999999999"', "aws.account"),
    "a person": ("e.yaml", "roles: [x]", "roles: [incident-commander]", "people.zoe.roles"),
    "a limit": ("e.yaml", "kind: Env", "limits: {max_targets: 99}\nkind: Env", "max_targets"),
    "an age": ("e.yaml", "kind: Env", "plan_expires_after: 24h\nkind: Env", "expires_after_s"),
    "a guard": ("e.yaml", "protected: false", "protected: true", "protected was False, is True"),
    "a resolver": ("e.yaml", "kind: Env", 'resolvers: ["192.0.2.1:53"]\nkind: Env', "resolvers"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_plan_whose_sources_changed_is_refused_and_the_difference_shown(name, made):
    parts, folder = made
    saved = plan(parts, folder, offline=True)
    read_back = read_plan(save(folder, saved))
    file, old, new, shown = CHANGES[name]
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(still_holds(parts, read_back))
    assert {problem.code for problem in caught.value.problems} == {"DR3208"}
    assert shown in " | ".join(problem.why for problem in caught.value.problems)
    # And what was said to the old one is said to nobody else.
    assert plan(parts, folder, offline=True).digest != saved.digest


def test_other_code_of_an_action_is_another_plan(made, monkeypatch):
    parts, folder = made
    saved = plan(parts, folder)
    asyncio.run(still_holds(parts, saved))
    true = parts.registry.code
    monkeypatch.setattr(
        parts.registry, "code", lambda name: "0" if name == "aws.rds.fence" else true(name)
    )
    with pytest.raises(RefusedError, match="DR3208") as caught:
        asyncio.run(still_holds(parts, saved))
    assert "the code of aws.rds.fence" in caught.value.problems[0].why
    assert plan(parts, folder).digest != saved.digest


def test_a_plan_that_moved_to_another_machine_needs_no_files(made):
    parts, folder = made
    saved = plan(parts, folder)
    path = save(folder, saved)
    for name in ("r.yaml", "e.yaml"):
        (folder / name).unlink()
    assert asyncio.run(still_holds(parts, read_plan(path))).digest == saved.digest


TINY = """
apiVersion: drctl/v1
kind: Runbook
metadata: {name: tiny, title: TITLE, owner: o}
objectives: {rto: 15m, rpo: 5m, clock: {stops_after: [a]}}
steps:
  - {id: a, uses: human.task, with: {instruction: TITLE, confirm: done}, timeout: 1m, estimate: 1s}
"""
PLACE = "apiVersion: drctl/v1\nkind: Environment\nmetadata: {name: e, title: TITLE}\n"


def test_a_file_that_is_replaced_while_it_is_read(tmp_path, monkeypatch):
    """
    A thousand times somebody puts another file in place right after a read of it: the new text is
    never used under the old one's hash.
    """
    registry, ill = installed(), []
    runbook, environment = tmp_path / "r.yaml", tmp_path / "e.yaml"
    true = Path.read_bytes

    def replaced_after(path):
        data = true(path)
        if path in {runbook, environment}:
            path.write_text(path.read_text().replace("first", "SECOND"))
        return data

    monkeypatch.setattr(Path, "read_bytes", replaced_after)
    rounds = 500 if results.is_full() else 50
    for number in range(rounds):
        title = f"first {number}"
        runbook.write_text(TINY.replace("TITLE", title))
        environment.write_text(PLACE.replace("TITLE", title))
        loaded, env = load(runbook, registry), load_environment(environment)
        for found, sha256, text in (
            (loaded.runbook.metadata.title, loaded.sha256, TINY),
            (env.title, env.sha256, PLACE),
        ):
            meant = hashlib.sha256(text.replace("TITLE", found).encode()).hexdigest()
            if sha256 != meant or found != title:
                ill.append((number, found))
    results.record("integrity-races", "I15", cases=rounds * 2, violations=len(ill))
    assert ill == []


def test_a_plan_gets_old(made):
    parts, folder = made
    saved = plan(parts, folder)
    parts.clock.off = timedelta(minutes=14)
    require_current(parts, saved)
    parts.clock.off = timedelta(minutes=16)
    with pytest.raises(RefusedError, match="DR3205"):
        require_current(parts, saved)
    with pytest.raises(RefusedError, match="DR3205"):
        asyncio.run(run_plan(parts, saved, _consent(), []))


def _consent():
    from drctl.app.running import Consent

    return Consent()


def test_a_clock_that_is_set_back_makes_no_plan_young(made):
    parts, folder = made
    saved = plan(parts, folder)
    later = Parts(registry=parts.registry, clock=SetClock(), secrets=parts.secrets, runs=parts.runs)
    later.clock.off = timedelta(hours=3)
    _record(later, saved, "r1")
    with pytest.raises(RefusedError, match="DR3205"):
        require_current(parts, saved)
    parts.clock.off = -timedelta(days=1)
    with pytest.raises(RefusedError, match="DR3205"):
        require_current(parts, saved)


def test_a_plan_from_the_future_is_refused(made):
    """Nothing else is on record: the plan itself says that the clock was later once."""
    parts, folder = made
    saved = plan(parts, folder)
    parts.clock.off = -timedelta(seconds=50)
    require_current(parts, saved)
    parts.clock.off = -timedelta(days=1)
    with pytest.raises(RefusedError, match="DR3205"):
        require_current(parts, saved)


def test_a_no_is_final_for_the_plan_in_every_run(made):
    parts, folder = made
    saved = plan(parts, folder)
    no = e.GateAnswered(step="go", answer="deny", by="bob", via="t", person="bob")
    _record(parts, saved, "r1", no)
    with pytest.raises(RefusedError, match="DR3304"):
        require_current(parts, saved)
    fresh = saved.model_copy(update={"title": "another"}).sealed()
    require_current(parts, fresh)


def test_a_plan_that_was_made_younger(made):
    """
    The digest does not say when a plan was made, so that two of the same world have one; the seal
    does. By hand it is refused; with its digests computed anew it is another plan, to which no
    earlier word counts, and it is not the one that a run began with.
    """
    from engine_model import started

    from drctl.app.reading import read_run
    from drctl.engine.approval import seen_of
    from drctl.journal.folder import Folder

    parts, folder = made
    saved = plan(parts, folder)
    younger = saved.model_copy(update={"created_at": "2036-01-01T00:00:00+00:00"})
    with pytest.raises(InvalidError, match="DR3204"):
        read_plan(save(folder, younger))
    forged = younger.sealed()
    assert forged.digest == saved.digest, "else this would show nothing"
    assert forged.seal != saved.seal
    people = some_people(draws(1))
    asked = gated(people)
    again = asked.model_copy(update={"created_at": "2036-01-01T00:00:00+00:00"}).sealed()
    state = open_now(asked)
    assert seen_of(asked, state, "go") != seen_of(again, state, "go")
    _record(parts, saved, "r1")
    assert started(saved).plan_seal == saved.seal
    (parts.runs / "r1" / "plan.json").write_bytes(forged.as_saved())
    with pytest.raises(DrctlError, match="DR4005"):
        read_run(Folder(path=parts.runs / "r1"))


def test_a_no_to_one_plan_is_none_to_a_new_one_of_the_same_world(made):
    """Else nobody could ever plan again after a no: whoever decides must see what is true now."""
    parts, folder = made
    saved = plan(parts, folder)
    no = e.GateAnswered(step="go", answer="deny", by="bob", via="t", person="bob")
    _record(parts, saved, "r1", no)
    with pytest.raises(RefusedError, match="DR3304"):
        require_current(parts, saved)
    parts.clock.off = timedelta(seconds=5)
    anew = plan(parts, folder)
    assert (anew.digest, anew.seal != saved.seal) == (saved.digest, True)
    require_current(parts, anew)


def _record(parts, saved, run_id, *events):
    from engine_model import started

    journal = Journal.create(parts.runs, run_id, saved, parts.clock)
    for event in (replace(started(saved), run_id=run_id), *events):
        journal.append(event)
    journal.close()


def test_a_run_whose_no_is_final_is_not_resumed(made):
    from drctl.app.resuming import resume_run

    parts, folder = made
    saved = plan(parts, folder)
    opened = e.GateOpened(
        step="go", gate="go", title="Go", show=(), approvers=(), quorum=1, expires_s=9.0
    )
    no = e.GateAnswered(step="go", answer="deny", by="zoe", via="t", person="zoe")
    _record(parts, saved, "r1", opened, no)
    from drctl.journal.folder import Folder

    with pytest.raises(DrctlError, match="DR3304"):
        asyncio.run(resume_run(parts, Folder(path=parts.runs / "r1"), []))


def test_a_plan_file_of_a_run_whose_threshold_was_eased_does_not_run(made):
    """Also when whoever changed it computed the digest anew: the journal names the old one."""
    from drctl.app.reading import read_run
    from drctl.journal.folder import Folder

    parts, _folder = made
    for shape in range(20):
        people = some_people(draws(shape))
        asked = gated(people, quorum=2)
        _record(parts, asked, f"r{shape}")
        gate = asked.gates["go"].model_copy(update={"quorum": 1})
        eased: Plan = asked.model_copy(update={"gates": {**asked.gates, "go": gate}})
        folder = Folder(path=parts.runs / f"r{shape}")
        for forged in (eased, eased.sealed()):
            (folder.path / "plan.json").write_bytes(forged.as_saved())
            with pytest.raises(DrctlError):
                read_run(folder)
