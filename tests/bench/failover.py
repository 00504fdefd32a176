"""
Part 3: one region of the lab lost; drctl brings service back, or the written plan's own script.

Each gets a fresh lab with the same vendor delays. What the outage was is said by the lab's client,
which knows neither. What a client costs by itself is its processor time, children included: unlike
wall time it holds no wait for a vendor, for a person or for an endpoint that is dead.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estate import HERE
from lab import Lab, LabError, fresh
from timing import Row, ratio

LOST = "us-east-1"
LIMIT_S = 20
"""What a command of the script may take: the AWS CLI waits minutes for an endpoint that is dead."""
PATIENCE_S = 10.0
"""How long the client goes on after the script has ended, in case service comes back late."""


@dataclass(frozen=True)
class Cost:
    """What a client took."""

    wall_s: float
    cpu_s: float
    exit_code: int


def measure(programs: Path, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Returns the ratio of the costs, and what the client saw of both."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with fresh(folder / "state") as lab:
            ours, our_cost = _drctl(lab, folder)
        missing = [name for name in ("kubectl", "curl", "bash") if shutil.which(name) is None]
        if missing:
            return [], {"drctl": ours, "script": f"not measured: no {', '.join(missing)}"}
        with fresh(folder / "state") as lab:
            theirs, their_cost = _script(lab, programs, folder)
    except LabError as error:
        return [], {"drctl": f"not measured: {error}", "script": "not measured"}
    rows = [
        ratio(
            "region-failover",
            "processor time of drctl failover (fence, checks, waits)",
            "the plan's script (none of these)",
            [our_cost.cpu_s],
            [their_cost.cpu_s],
        ),
        ratio(
            "region-failover",
            "the same for each request to a control plane",
            "for each command of the script",
            [our_cost.cpu_s / ours["own"]["requests"]],
            [their_cost.cpu_s / len(theirs["steps"])],
        ),
    ]
    return rows, {"drctl": ours, "script": theirs}


def told(seen: dict[str, Any]) -> list[str]:
    """What was seen, in lines for people."""
    lines = []
    for who, facts in seen.items():
        if isinstance(facts, str):
            lines.append(f"{who}: {facts}")
            continue
        client, outage = facts["client"], facts["client"]["outage_s"]
        service = "service did not come back" if not facts["restored"] else f"outage {outage} s"
        lost, wrong = (
            "not measured" if client[name] is None else client[name]
            for name in ("lost_acknowledged", "wrong_side_writes")
        )
        lines.append(
            f"{who}: {service}; lost writes {lost}, wrong-side writes {wrong}; "
            f"client wall {facts['wall_s']:.1f} s, processor {facts['cpu_s']:.2f} s"
        )
        if "own" in facts:
            own = facts["own"]
            lines.append(
                f"    itself: RTA {own['rta_s']} s, loss at most {own['loss_bound_s']} s;"
                f" {own['requests']} requests to control planes, {own['connections']} connections"
            )
        lines += [f"    {step}" for step in facts.get("steps", ())]
    return lines


def _drctl(lab: Lab, folder: Path) -> tuple[dict[str, Any], Cost]:
    lab.start_traffic()
    lab.ask("lab", "break", "region", LOST)
    commander = threading.Thread(target=_say_go, args=(lab,), daemon=True)
    commander.start()
    words = ("failover", "region", "-e", "lab", "--confirm", "us-west-2", "--no-input")
    calls = folder / "calls.txt"
    variables = lab.variables | {
        "BENCH_CALLS": str(calls),
        "PYTHONPATH": f"{HERE / 'counted'}{os.pathsep}{lab.variables['PYTHONPATH']}",
    }
    cost = _run(lab.drctl(*words), variables, folder / "drctl.txt")
    commander.join(timeout=1)
    time.sleep(1)
    judged = lab.verdict("latest")
    requests, connections = map(int, calls.read_text().split())
    said = {k: round(v, 2) if isinstance(v, float) else v for k, v in judged["drctl"].items()}
    own = {**said, "requests": requests, "connections": connections}
    return _facts(judged, cost, restored=cost.exit_code == 0) | {"own": own}, cost


def _say_go(lab: Lab) -> None:
    """Approves as soon as the gate is open; costs drctl nothing meanwhile."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        journals = list((lab.state / "drctl" / "runs").glob("[!.]*/events.jsonl"))
        if any('"type":"gate_opened"' in journal.read_text() for journal in journals):
            lab.ask("approve", "latest", "go", "--reason", "bench")
            return
        time.sleep(0.1)


def _script(lab: Lab, programs: Path, folder: Path) -> tuple[dict[str, Any], Cost]:
    steps = folder / "steps.txt"
    variables = _for_the_script(lab, programs, folder) | {"STEPS": str(steps)}
    lab.start_traffic()
    lab.ask("lab", "break", "region", LOST)
    cost = _run(["bash", HERE / "regional-failover.sh"], variables, folder / "script.txt")
    time.sleep(PATIENCE_S)
    judged = lab.verdict()
    restored = judged["client"]["outage_ended_at"] is not None
    lines = []
    for line in steps.read_text().splitlines():
        name, code, seconds = line.split()
        how = {"0": "done", "124": f"no answer in {LIMIT_S} s"}.get(code, f"failed, exit {code}")
        lines.append(f"{name}: {how} ({float(seconds):.2f} s)")
    return _facts(judged, cost, restored=restored) | {"steps": lines}, cost


def _for_the_script(lab: Lab, programs: Path, folder: Path) -> dict[str, str]:
    """All that the plan leaves open, looked up while both regions are alive."""
    east, west = (f"http://{lab.address(region, '0.10')}:4566" for region in (1, 2))
    kubeconfig = lab.root / "kubeconfig-us-west-2.yaml"
    variables = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": lab.secret("aws_access_key_id"),
        "AWS_SECRET_ACCESS_KEY": lab.secret("aws_secret_access_key"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "DR_CLUSTER_CONFIG": str(kubeconfig),
        "DR_MANIFESTS": str(folder / "dr-manifests"),
        "HOME": str(folder),
        "LIMIT": str(LIMIT_S),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",
        "RDS_ENDPOINT": west,
        "ROUTE53_ENDPOINT": east,
        "SLACK_WEBHOOK_URL": lab.secret("slack_webhook"),
    }

    def answer(*command: str) -> str:
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, check=True
        ).stdout.strip()

    text = ("--output", "text", "--query")
    zone = ("aws", "route53", "list-hosted-zones", "--endpoint-url", east, "--region", LOST)
    balancer = ("aws", "elbv2", "describe-load-balancers", "--names", "healing-guard-dr-lb")
    where = ("--endpoint-url", west, "--region", "us-west-2")
    variables["HOSTED_ZONE"] = answer(*zone, *text, "HostedZones[0].Id")
    variables["DR_BALANCER"] = answer(*balancer, *where, *text, "LoadBalancers[0].DNSName")
    live = ("get", "deployment", "healing-guard", "-o", "json")
    deployment = json.loads(answer("kubectl", "--kubeconfig", str(kubeconfig), *live))
    del deployment["status"]
    for field in ("resourceVersion", "uid", "creationTimestamp", "generation", "annotations"):
        deployment["metadata"].pop(field, None)
    manifests = folder / "dr-manifests"
    manifests.mkdir(exist_ok=True)
    (manifests / "deployment.json").write_text(json.dumps(deployment))
    return variables


def _run(command: list[str | Path], variables: dict[str, str], log: Path) -> Cost:
    """Runs to the end; the processor time is that of everything it waited for itself."""
    with log.open("wb") as told_to:
        began = time.monotonic()
        child = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=told_to, stderr=told_to
        )
        _pid, status, used = os.wait4(child.pid, 0)
        wall_s = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(wall_s, used.ru_utime + used.ru_stime, child.returncode)


def _facts(judged: dict[str, Any], cost: Cost, *, restored: bool) -> dict[str, Any]:
    return {
        "client": {name: fact for name, fact in judged["client"].items() if name != "lost_ids"},
        "restored": restored,
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "exit_code": cost.exit_code,
    }
