"""
Mutating calls that reach the other side while drctl only plans: none.

``python zero.py [SHAPE ...]``. A lab comes up whose stand-ins write down every request that they
are sent, taken or refused (`drctl.lab.wire`), whose PostgreSQL logs every statement with its
sender, and whose caches are watched with MONITOR. Then every shipped runbook for which it has the
targets is planned. That the counting counts is shown in the same lab by a run that does change
something. Numbers go to ``build/honesty/zero.json``.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import redis
from comparison import BUILD, ROOT, inputs, lines
from e2e_lab import Lab, lab_of

SHAPES = {
    "region": "app-rollback",
    "two-way": "region-switchover",
    "database-rds": "database-failover-rds",
    "database": "database-failover",
    "operator": "database-failover-kubernetes",
    "cache": "cache-failover",
}
"""Shapes, each with the runbook whose run must be counted."""
AGENTS = ("drctl", "Boto")
"""Who drctl says to be: to AWS the SDK speaks for it. The lab's own clients say something else."""
STATEMENT = re.compile(r"drctl\|\S+ LOG:  (?:statement|execute [^:]*): (.*)")
READS = re.compile(
    r"\s*(SELECT|WITH|SHOW|COMMIT|ROLLBACK|DEALLOCATE|BEGIN\b.*READ ONLY)", re.IGNORECASE
)
DOES = re.compile(
    r"pg_(promote|terminate_backend|cancel_backend|reload_conf|switch_wal|create_|drop_|wal_replay_"
    r"(pause|resume)|advisory)|\b(INSERT|UPDATE|DELETE|TRUNCATE|ALTER|CREATE|DROP)\b",
    re.IGNORECASE,
)
MONITORED = re.compile(r"^\d+\.\d+ \[\d+ (\S+)\] (.*)")
KEYED = re.compile(r"[0-9a-f-]{8,}|\d+")
HARMLESS = {
    "auth", "client", "cluster", "command", "config get", "dbsize", "echo", "exists", "get", "hello",
    "info", "ping", "psubscribe", "publish", "role", "select", "subscribe", "ttl", "wait", "replconf",
    "psync", "multi", "exec", "sentinel get-master-addr-by-name", "sentinel master",
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

    def during(self, *words: str, gates: bool = False) -> tuple[Count, subprocess.Popen]:
        """Runs drctl, and counts."""
        logs = {path: path.stat().st_size for path in self.logs()}
        before, heard = len(lines(self.wire)), len(self.heard)
        process = self.lab.start(*words)
        while process.poll() is None and gates:
            self.answer()
            time.sleep(0.5)
        process.said = process.communicate(timeout=240)[0]
        time.sleep(0.3)
        count = Count()
        for line in lines(self.wire)[before:]:
            if line["agent"].startswith(AGENTS):
                count.asked += 1
                count.mutating[f"{line['where']} {line['request']}"] += line["mutates"]
        for path in self.logs():
            with path.open(errors="replace") as file:
                file.seek(logs.get(path, 0))
                for statement in STATEMENT.findall(file.read()):
                    count.asked += 1
                    is_read = READS.match(statement) and not DOES.search(statement)
                    count.mutating[f"postgres {statement[:60]}"] += not is_read
        for line in self.heard[heard:]:
            count.asked += 1
            count.mutating[line] += line not in self.usual and not _is_harmless(line)
        count.mutating = +count.mutating
        return count, process

    def answer(self) -> None:
        """Says go at whatever gate is open."""
        shown = json.loads(self.lab.drctl("status", "latest", "-o", "json").stdout or "{}")
        for gate in re.findall(r'"gate": "([^"]+)"', json.dumps(shown)) or ["go", "reopen"]:
            self.lab.drctl("approve", "latest", gate, "--reason", "counting")

    def logs(self) -> list[Path]:
        return sorted(self.lab.root.glob("**/postgres*.log")) + sorted(
            self.lab.root.glob("**/log/*.log")
        )

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


def runbooks_of(lab: Lab) -> list[str]:
    """The shipped runbooks for which this lab has every target."""
    found = []
    for path in sorted((ROOT / "runbooks").glob("*.yaml")):
        done = lab.drctl("validate", str(path), "-e", "lab")
        if done.returncode == 0:
            found.append(path.stem)
    return found


def count(shape: str, net: int, tmp: Path) -> tuple[dict[str, Count], Count]:
    """Every runbook of a shape planned, and one run."""
    lab = lab_of(net, tmp)
    wire = tmp / "wire.jsonl"
    lab.env["DRCTL_LAB_WIRE"] = str(wire)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", shape, timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        here = Counting(lab=lab, wire=wire)
        here.listen()
        told = {}
        for runbook in runbooks_of(lab):
            words = ("plan", runbook, "-e", "lab", *given(runbook), "-o", "json")
            told[runbook], done = here.during(*words)
            assert done.returncode in {0, 8}, done.said
        words = ("run", SHAPES[shape], "-e", "lab", *given(SHAPES[shape]), "--no-input",
                 "--accept-data-loss", "unknown", "--reason", "counting")  # fmt: skip
        proof, done = here.during(*words, gates=True)
        print(
            f"    run of {SHAPES[shape]}: {done.said.splitlines()[-1][:100] if done.said else ''}"
        )
        return told, proof
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


def keep(shape: str, told: dict[str, Count], proof: Count) -> None:
    """Keeps a shape's numbers, and writes the row for the table from all that are kept."""
    parts = BUILD / "parts" / "zero.json"
    parts.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(parts.read_text()) if parts.exists() else {}
    known[shape] = {
        "plans": {name: [one.mutating.total(), one.asked] for name, one in told.items()},
        "run": proof.mutating.total(),
    }
    parts.write_text(json.dumps(known, indent=1) + "\n")
    plans = [(name, *n) for one in known.values() for name, n in one["plans"].items()]
    found, asked = sum(one[1] for one in plans), sum(one[2] for one in plans)
    seen = {name for name, *_ in plans}
    left = sorted({path.stem for path in (ROOT / "runbooks").glob("*.yaml")} - seen)
    runs = {name: one["run"] for name, one in known.items()}
    row = {
        "line": "mutating calls that reach any side during every plan of every shipped runbook",
        "wanted": "0",
        "found": f"{found} of {asked} calls, in {len(plans)} plans of {len(seen)} runbooks;"
        f" the same counters during a run: {', '.join(f'{n} {c}' for n, c in runs.items())}"
        + (f"; not planned: {', '.join(left)}" if left else ""),
        "ok": found == 0 and not left and all(runs.values()),
    }
    (BUILD / "zero.json").write_text(json.dumps(row, indent=1) + "\n")


def main(words: list[str]) -> int:
    """Counts in the shapes that are named, or in all; 1 when there was anything to count."""
    net, is_well = int(os.environ.get("DRCTL_LAB_NET", "168")), True
    for shape in words or list(SHAPES):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            told, proof = count(shape, net, Path(folder))
        for runbook, one in told.items():
            print(f"{shape} plan {runbook}: {one.mutating.total()} of {one.asked}", flush=True)
            for what, times in one.mutating.items():
                print(f"    {times} x {what}", flush=True)
            is_well = is_well and not one.mutating
        kinds = dict(Counter(what.split()[0] for what in proof.mutating.elements()))
        print(f"{shape} run {SHAPES[shape]}: {kinds}", flush=True)
        is_well = is_well and bool(proof.mutating)
        keep(shape, told, proof)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
