"""Runs of the real engine with the real actions: a runbook, an environment, a driver."""

import contextlib
from dataclasses import dataclass

from estate import DATABASE, PORT, Pair
from people import Application, Http, Witness

from drctl.actions.registry import installed
from drctl.app.running import Consent, preflight
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine.driver import Driver
from drctl.engine.events import RunFinished, RunStarted, StepFinished
from drctl.engine.state import Record, initial
from drctl.kernel.clock import SystemClock
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.runbook import load_runbook, resolve_inputs
from drctl.simulated.log import MemoryLog

CLOCK = SystemClock()
REGISTRY = installed()

RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata:
  {name: pair-failover, title: Fail over a pair, owner: us, scenario: server-loss, category: 2}
objectives: {rto: 15m, rpo: 5m, clock: {starts_at: run, stops_after: [promote]}}
inputs:
  sightings: {type: string, description: where the witness publishes}
  watch: {type: string, default: 1s, description: how long the old primary is tried}
targets: {old_db: db.old, new_db: db.new}
steps:
  - {id: measure, uses: postgres.measure_lag, target: new_db, needs: [], timeout: 9s,
     with: {sightings_url: "${{ inputs.sightings }}"}}
  - {id: fence, uses: postgres.fence, target: old_db, estimate: 3s, timeout: 20s}
  - id: drain
    uses: postgres.replication.wait
    target: new_db
    with: {lsn: "${{ steps.fence.outputs.final_lsn }}"}
    when: steps.fence.status == 'succeeded' && steps.fence.outputs.final_lsn != ''
    timeout: 3s
  - id: measure_again
    uses: postgres.measure_lag
    target: new_db
    with: {sightings_url: "${{ inputs.sightings }}"}
    when: steps.fence.status != 'succeeded' || steps.fence.outputs.final_lsn == ''
    timeout: 9s
  - {id: promote, uses: postgres.promote, target: new_db, estimate: 2s, timeout: 20s,
     with: {sightings_url: "${{ inputs.sightings }}"}}
  - id: one_primary
    uses: postgres.primary.assert_only
    target: old_db
    with: {new_primary: "${{ steps.promote.outputs.endpoint }}", watch: WATCH}
    estimate: 3s
    timeout: 25s
"""


def environment(pair: Pair, old_url: str, path_url: str, **more: str) -> str:
    """The environment file; *more* replaces addresses."""
    sql = "{{host: {}, port: {}, database: {}, user: drctl, password: {}, tls: 'off'}}"
    password = "'env:DRCTL_TEST_PG_PASSWORD'"
    old = sql.format(*pair.old, DATABASE, more.get("password", password))
    new = sql.format(*more.get("new", pair.new), DATABASE, password)
    siblings = ", ".join(f"{{host: {s.address[0]}, port: {PORT}}}" for s in pair.siblings)
    pin = more.get("pin", pair.template.system_identifier)
    return f"""\
apiVersion: drctl/v1
kind: Environment
metadata: {{name: pair, title: A pair}}
world: lab
protected: false
connections: {{}}
targets:
  db.old:
    kind: postgres.server
    region: east
    system_identifier: "{pin}"
    sql: {old}
    client_write_urls: [{old_url}]
    client_path: {{url: "{path_url}", table: orders}}
  db.new:
    kind: postgres.server
    region: west
    system_identifier: "{pin}"
    sql: {new}
    siblings: [{siblings}]
"""


@dataclass
class Ran:
    """What came of a run."""

    plan: Plan
    records: list[Record]
    end: RunFinished

    def last(self, step: str) -> StepFinished | None:
        found = [
            record.event
            for record in self.records
            if isinstance(record.event, StepFinished) and record.event.step == step
        ]
        return found[-1] if found else None

    def at(self, step: str):
        """When the step was over, by the wall."""
        return next(
            (
                record.at.wall
                for record in self.records
                if isinstance(record.event, StepFinished) and record.event.step == step
            ),
            None,
        )

    @property
    def has_promoted(self) -> bool:
        last = self.last("promote")
        return last is not None and last.outcome in {"succeeded", "unknown"}

    def story(self) -> str:
        return "\n".join(f"{record.at.wall:%H:%M:%S.%f} {record.event}" for record in self.records)


@dataclass
class World:
    """A pair with its application on both sides, and its witness."""

    pair: Pair
    witness: Witness
    eye: Http
    old_app: Http
    path: Http
    old_side: Application
    clients: Application

    @contextlib.asynccontextmanager
    @staticmethod
    async def of(template, **more):
        async with Pair.of(template, **more) as pair:
            relayed = ("old", pair.application._listen)
            old_side = Application([relayed])
            clients = Application([relayed, ("new", pair.standby.address)])
            host = pair.host(0, 20)
            async with (
                Witness(pair.operator._listen) as witness,
                Http(host, 8001, witness.answer) as eye,
                Http(host, 8002, old_side.answer) as old_app,
                Http(host, 8003, clients.answer) as path,
            ):
                yield World(pair, witness, eye, old_app, path, old_side, clients)

    async def plan(self, *, look: bool = False, watch: str = "1s", **more) -> Plan:
        """
        Drafts the plan; with *look* looks at the estate as `drctl plan` does, and refuses as
        `drctl run` would.
        """
        folder = self.pair.template.root
        book = folder / f"runbook-{self.pair.number}.yaml"
        book.write_text(RUNBOOK.replace("WATCH", watch))
        file = folder / f"environment-{self.pair.number}.yaml"
        file.write_text(environment(self.pair, self.old_app.url, self.path.url, **more))
        file.chmod(0o600)
        env = load_environment(file)
        checked = load_runbook(book, registry=REGISTRY, environment=env.targets)
        planner = Planner(registry=REGISTRY, clock=CLOCK, secrets=LocalSecrets())
        given = resolve_inputs(checked, {"sightings": self.eye.url})
        plan = planner.draft(checked, "0" * 64, env, given)
        if look:
            plan = await planner.look(plan)
            preflight(plan, Consent())
        return plan

    async def run(self, plan: Plan, *, forced: str | None = None, listeners=()) -> Ran:
        log = MemoryLog(CLOCK)
        driver = Driver(
            plan, initial(plan), log=log, registry=REGISTRY, clock=CLOCK, secrets=LocalSecrets(),
            listeners=listeners,
        )  # fmt: skip
        first = RunStarted(
            run_id=f"run{self.pair.number}", plan_digest=plan.digest, runbook=plan.runbook,
            environment=plan.environment, world="lab", operator="alice", host="laptop",
            version="0", rto_s=900, rpo_s=300, elapsed_before_s=0.0, clock_source="run",
            forced_reason=forced,
        )  # fmt: skip
        end = await driver.run(first)
        return Ran(plan, log.records, end)
