"""
Mutating calls that reach the other side while drctl only plans, or asks what is ready: none.

``python zero.py [SHAPE ...]``. A lab comes up whose stand-ins write down every request that they
are sent, taken or refused (`drctl.lab.wire`), whose PostgreSQL logs every statement with its
sender, and whose caches are watched with MONITOR. Then every shipped runbook for which it has the
targets is planned, and ``drctl ready`` asks for all scenarios. That the counting counts is shown by
a run that changes something everywhere. Then, unless ``--only-count`` is given, a region is lost in
the same lab and some of them are run, which `comparison` holds against what was foretold. Numbers
go to ``build/honesty/zero.json``.
"""

import contextlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import comparison
import redis
from comparison import BUILD, GROUPS, ROOT, Found, Group, inputs, lines
from e2e_lab import Lab, lab_of
from typer.testing import CliRunner

from drctl.actions.registry import installed
from drctl.app.runbooks import load
from drctl.cli.main import app
from drctl.config.environment import Environment, load_environment
from drctl.kernel.errors import InvalidError

SHAPES = ("region", "two-way", "database-rds", "database", "operator", "cache")
READY = "drctl ready"
"""Counted beside the runbooks."""
AGENT = "drctl"
"""Who drctl says to be, to AWS behind the SDK's own words; the lab's own clients do not."""
STATEMENT = re.compile(r"drctl\|\S+ LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")
READS = re.compile(
    r"\s*(SELECT|WITH|SHOW|COMMIT|ROLLBACK|DEALLOCATE|BEGIN\b.*READ ONLY)", re.IGNORECASE
)
QUOTED = re.compile(r"'[^']*'")
"""Who asks whether it might promote has not promoted."""
DOES = re.compile(
    r"pg_(promote|terminate_backend|cancel_backend|reload_conf|switch_wal|create_|drop_|wal_replay_"
    r"(pause|resume)|advisory)|\b(INSERT|UPDATE|DELETE|TRUNCATE|ALTER|CREATE|DROP)\b",
    re.IGNORECASE,
)
MONITORED = re.compile(r"^\d+\.\d+ \[\d+ (\S+)\] (.*)")
KEYED = re.compile(r"[0-9a-f-]{8,}|\d+")
HARMLESS = {
    "auth", "client", "cluster", "command", "config get", "dbsize", "echo", "exists", "get",
    "hello", "info", "ping", "psubscribe", "publish", "role", "select", "subscribe", "ttl", "wait",
    "replconf", "psync", "multi", "exec", "sentinel get-master-addr-by-name", "sentinel master",
    "sentinel masters", "sentinel is-master-down-by-addr", "sentinel replicas",
    "sentinel sentinels", "sentinel slaves", "monitor", "time",
}  # fmt: skip


@dataclass
class Count:
    """What reached the other side during one command of drctl."""

    asked: int = 0
    mutating: Counter = field(default_factory=Counter)
    """By place: ``aws us-east-1 rds.ModifyDBInstance``."""


@dataclass
class Counting:
    """A lab whose every side is listened to."""

    lab: Lab
    wire: Path
    heard: list[str] = field(default_factory=list)
    """Of caches: a place and a command."""
    usual: set[str] = field(default_factory=set)
    """What caches hear while nothing of drctl runs: the application and the sentinels."""

    @contextlib.contextmanager
    def during(self) -> Iterator[Count]:
        """Counts what reaches the other side meanwhile."""
        logs = {path: path.stat().st_size for path in self.logs()}
        before, heard, count = len(lines(self.wire)), len(self.heard), Count()
        yield count
        time.sleep(0.3)
        for line in lines(self.wire)[before:]:
            if AGENT in line["agent"]:
                count.asked += 1
                count.mutating[f"{line['where']} {line['request']}"] += line["mutates"]
        for path in self.logs():
            with path.open(errors="replace") as file:
                file.seek(logs.get(path, 0))
                for statement in STATEMENT.findall(file.read()):
                    count.asked += 1
                    is_read = READS.match(statement) and not DOES.search(
                        QUOTED.sub("''", statement)
                    )
                    said = " ".join(statement.split())[:60]
                    count.mutating[f"postgres {said}"] += not is_read
        for line in self.heard[heard:]:
            count.asked += 1
            count.mutating[line] += line not in self.usual and not _is_harmless(line)
        count.mutating = +count.mutating

    def logs(self) -> list[Path]:
        return sorted(self.lab.root.glob("**/*.log"))

    def listen(self) -> None:
        """Watches every Redis of the lab."""
        secret = self.lab.root / "secrets" / "cache_password"
        if not secret.exists():
            return
        octet = int(self.lab.env["DRCTL_LAB_NET"]) + 1
        places = [(f"127.{octet}.5.{k}", 6379) for k in (1, 2, 3)]
        places += [(f"127.{octet + (k == 3)}.5.{100 + k}", 26379) for k in (1, 2, 3)]
        for host, port in places:
            thread = threading.Thread(
                target=self._watch, args=(host, port, secret.read_text()), daemon=True
            )
            thread.start()
        time.sleep(6)
        self.usual = set(self.heard)

    def _watch(self, host: str, port: int, password: str) -> None:
        kind = "redis" if port == 6379 else "sentinel"
        try:
            client = redis.Redis(host=host, port=port, password=password, socket_timeout=None)
            with client.monitor() as monitor:
                for one in monitor.listen():
                    self.heard.append(f"{kind} {KEYED.sub('#', one['command'])}")
        except (redis.RedisError, OSError):
            return


def _is_harmless(line: str) -> bool:
    words = line.lower().split()[1:]
    return bool(words) and (words[0] in HARMLESS or " ".join(words[:2]) in HARMLESS)


def runbooks_of(environment: Environment) -> list[str]:
    """The shipped runbooks for which an environment has every target."""
    found = []
    for path in sorted((ROOT / "runbooks").glob("*.yaml")):
        with contextlib.suppress(InvalidError):
            load(path, installed(), environment.targets)
            found.append(path.stem)
    return found


def plan(runbook: str, environment: Path) -> None:
    """As a person does it, but for the start of a process."""
    words = ["plan", str(ROOT / "runbooks" / f"{runbook}.yaml"), "-e", str(environment)]
    done = CliRunner().invoke(app, [*words, *given(runbook), "-o", "json"])
    # 5: of a failback nobody has failed over for, the loss is unknown, and the plan says so.
    assert done.exit_code in {0, 5, 8}, done.output


FRESH = {"kubernetes.revision.check", "aws.rds.backups"}
"""What a lab that has just come up really lacks: an older release, a backup that has ended."""


def ask_ready(environment: Path) -> None:
    """For every scenario of the environment, where all is well: nothing is to be named."""
    done = CliRunner().invoke(app, ["ready", "-e", str(environment), "-o", "json"])
    assert done.exit_code in {0, 5, 8}, done.output
    scenarios = json.loads(done.stdout)["scenarios"]
    assert all(one["judged"] or one["unchecked"] for one in scenarios), done.output
    troubles = {"not ready", "at risk", "cannot tell"}
    named = {
        judged["check"]: judged["why"]
        for one in scenarios
        for judged in one["judged"]
        if judged["standing"] in troubles
    }
    assert named.keys() <= FRESH, named


COUNTED = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: counted, title: Changes something everywhere, owner: tests}
objectives: {rto: 15m, rpo: 5m, clock: {starts_at: run, stops_after: [row]}}
targets: {room: comms.incident_room, page: comms.statuspage, app: app.primary, db: db.primary%s}
steps:
  - {id: tell, uses: slack.message.post, target: room, with: {text: counted}, needs: [],
     timeout: 60s, on_failure: continue}
  - id: open
    uses: statuspage.incident.open
    target: page
    with: {name: counted, status: investigating, impact: minor}
    needs: []
    timeout: 60s
    on_failure: continue
  - {id: scale, uses: kubernetes.deployment.scale, target: app, with: {replicas: 4}, needs: [],
     estimate: 1m, timeout: 2m}
  - {id: row, uses: postgres.primary.assert_writable, target: db, needs: [], estimate: 5s,
     timeout: 60s}
"""
"""What every shape has the targets for; its lease is written to S3 too."""
CACHED = """\
  - {id: key, uses: redis.primary.assert_writable, target: cache, needs: [], estimate: 5s,
     timeout: 60s}
"""


def change(environment: Environment, tmp: Path) -> None:
    """Runs something that changes what every counter looks at."""
    caches = [name for name in environment.targets if name.startswith("cache.")]
    text = COUNTED % (f", cache: {caches[0]}" if caches else "") + (CACHED if caches else "")
    primary = next(n for n in ("db.primary", "db.primary_server", "db.primary_cluster")
                   if n in environment.targets)  # fmt: skip
    file = tmp / "counted.yaml"
    file.write_text(text.replace("db: db.primary", f"db: {primary}"))
    done = CliRunner().invoke(app, ["run", str(file), "-e", str(environment.file), "--no-input"])
    print(f"    counted run: exit {done.exit_code} {done.output[-300:] if done.exit_code else ''}")


def count(
    shape: str, net: int, tmp: Path, *, loses: bool
) -> tuple[dict[str, Count], Count, dict[str, Found]]:
    """Every runbook of a shape planned; then its east is lost, and some are run."""
    lab, group = lab_of(net, tmp), f"{shape}/us-east-1/dead"
    wire = tmp / "wire.jsonl"
    lab.env["DRCTL_LAB_WIRE"] = str(wire)
    os.environ |= {"XDG_STATE_HOME": lab.env["XDG_STATE_HOME"], "DRCTL_LAB_NET": str(net)}
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", shape, timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        here = Counting(lab=lab, wire=wire)
        here.listen()
        told: dict[str, Count] = {}
        environment = lab.root / "environment.yaml"
        env = load_environment(environment)
        for runbook in runbooks_of(env):
            with here.during() as told[runbook]:
                plan(runbook, environment)
        with here.during() as told[READY]:
            ask_ready(environment)
        with here.during() as proof:
            change(env, tmp)
        if not loses:
            return told, proof, {}
        assert lab.drctl("lab", "traffic").returncode == 0
        made = Group(lab=lab, region="us-east-1", how="dead", tmp=tmp)
        foretold = {runbook: made.foretell(runbook) for runbook in GROUPS[group]}
        made.take_away()
        found = {name: made.happen(name, *fate) for name, fate in foretold.items()}
        return told, proof, found
    finally:
        lab.stop()
        lab.drctl("lab", "down")


def given(runbook: str) -> list[str]:
    """What a runbook must be given to be planned."""
    text = (ROOT / "runbooks" / f"{runbook}.yaml").read_text()
    more = []
    if "\n  time:" in text:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        more = ["-i", f"time={now}"]
    return [*inputs(runbook), *more]


def sides(shape: str) -> set[str]:
    """What must be heard in a run that changes something everywhere, or nobody listens there."""
    return {"aws", "kubernetes", "postgres", "slack", "statuspage"} | (
        {"redis"} if shape == "cache" else set()
    )


def keep(shape: str, told: dict[str, Count], proof: Count) -> None:
    """Keeps a shape's numbers, and writes the row for the table from all that are kept."""
    parts = BUILD / "parts" / "zero.json"
    parts.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(parts.read_text()) if parts.exists() else {}
    known[shape] = {
        "plans": {name: [one.mutating.total(), one.asked] for name, one in told.items()},
        "run": proof.mutating.total(),
        "deaf": sorted(sides(shape) - {what.split()[0] for what in proof.mutating}),
    }
    parts.write_text(json.dumps(known, indent=1) + "\n")
    plans = [(name, *n) for one in known.values() for name, n in one["plans"].items()]
    found, asked = sum(one[1] for one in plans), sum(one[2] for one in plans)
    readies = sum(name == READY for name, *_ in plans)
    seen = {name for name, *_ in plans} - {READY}
    left = sorted({path.stem for path in (ROOT / "runbooks").glob("*.yaml")} - seen)
    runs = {name: one["run"] for name, one in known.items()}
    deaf = [f"{name} to {side}" for name, one in known.items() for side in one["deaf"]]
    row = {
        "line": "mutating calls that reach any side in every plan/ready of every shipped runbook",
        "wanted": "0",
        "found": f"{found} of {asked} calls, in {len(plans) - readies} plans of {len(seen)}"
        f" runbooks and {readies} times ready;"
        f" the same counters during a change: {', '.join(f'{n} {c}' for n, c in runs.items())}"
        + (f"; not planned: {', '.join(left)}" if left else "")
        + (f"; deaf: {', '.join(deaf)}" if deaf else ""),
        "ok": found == 0 and not left and not deaf,
    }
    (BUILD / "zero.json").write_text(json.dumps(row, indent=1) + "\n")


def main(words: list[str]) -> int:
    """Counts in the shapes that are named, or in all; 1 when there was anything to count."""
    net, is_well = int(os.environ.get("DRCTL_LAB_NET", "168")), True
    loses = "--only-count" not in words
    for shape in [word for word in words if word in SHAPES] or SHAPES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            told, proof, found = count(shape, net, Path(folder), loses=loses)
        for runbook, one in told.items():
            print(f"{shape} {runbook}: {one.mutating.total()} of {one.asked}", flush=True)
            for what, times in one.mutating.items():
                print(f"    {times} x {what}", flush=True)
        kinds = dict(Counter(what.split()[0] for what in proof.mutating.elements()))
        print(f"{shape} the same counters while something is changed: {kinds}", flush=True)
        for runbook, one in found.items():
            print(one.shown(f"{shape}/us-east-1/dead {runbook}"), flush=True)
        keep(shape, told, proof)
        if found:
            comparison.keep(f"{shape}/us-east-1/dead", found)
        is_well = is_well and not any(one.mutating for one in told.values())
        is_well = is_well and all(one.is_right for one in found.values())
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
