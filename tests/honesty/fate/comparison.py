"""
What a plan said would fail, against what did: ``python comparison.py [SHAPE/RUNBOOK/REGION/HOW ...]``.

For each case a lab of its own comes up. While all is well ``drctl plan --assume-down`` says what
would fail; then the region is really taken away, and the same runbook is planned and run, every
call of it written down (`recorded`). The two must name the same calls, and the run must end as the
plan said. Numbers go to ``build/honesty/fate.json``.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from e2e_lab import Lab, lab_of  # noqa: E402  (behind the path that leads to it)

BUILD = ROOT / "build" / "honesty"
RECORDED = [sys.executable, str(HERE / "recorded.py")]
INCIDENT = {"region-switchover": "chg-20261122-001"}
ANY_LOSS = ("--accept-data-loss", "unknown", "--reason", "comparison")
OCTET = {"us-east-1": 1, "us-west-2": 2}


@dataclass(frozen=True, order=True)
class Case:
    """One runbook, in one kind of lab, with one region taken away."""

    shape: str
    runbook: str
    region: str = "us-east-1"
    how: str = "dead"

    def __str__(self) -> str:
        return f"{self.shape}/{self.runbook}/{self.region}/{self.how}"


@dataclass
class Found:
    """What came of a case."""

    named: set[tuple[str, ...]] = field(default_factory=set)
    """Calls that the plan says fail and that were made, or would have to be."""
    failed: set[tuple[str, ...]] = field(default_factory=set)
    """Calls that failed."""
    made: set[tuple[str, ...]] = field(default_factory=set)
    foretold: str = ""
    ended: str = ""
    strays: list[str] = field(default_factory=list)
    """Connections into the region while it was only assumed to be down."""
    undeclared: list[str] = field(default_factory=list)
    """Calls that went to a region that they do not declare."""
    unreached: int = 0
    """Calls that are named, and that the run does not come to."""

    @property
    def missed(self) -> set[tuple[str, ...]]:
        return self.failed - self.named

    @property
    def false_alarms(self) -> set[tuple[str, ...]]:
        return (self.named & self.made) - self.failed

    @property
    def unmade(self) -> set[tuple[str, ...]]:
        """Said to be reached and to fail, and never made."""
        return self.named - self.made

    @property
    def is_right(self) -> bool:
        wrong = self.missed or self.false_alarms or self.unmade or self.strays or self.undeclared
        return not wrong and self.foretold == self.ended


def compare(lab: Lab, case: Case, tmp: Path) -> Found:
    """Foretells, takes the region away, plans and runs, and holds one against the other."""
    found = Found()
    words = inputs(case.runbook)
    net = int(lab.env["DRCTL_LAB_NET"])
    quiet = tmp / "assumed.jsonl"
    foretold = _json(
        lab, quiet, "plan", case.runbook, "-e", "lab", *words, "-o", "json",
        "--assume-down", f"{case.region}={case.how}",
    )  # fmt: skip
    fate = foretold["fate"]
    inside = f"127.{net + OCTET[case.region]}."
    found.strays = [a for line in _lines(quiet) for a in line["asked"] if a.startswith(inside)]
    found.foretold = fate["ending"]
    take_away(lab, case)
    seen = tmp / "looked.jsonl"
    looked = _json(lab, seen, "plan", case.runbook, "-e", "lab", *words, "-o", "json")
    ran = tmp / "ran.jsonl"
    if found.foretold != "refused":
        found.ended = run(lab, case, ran)
    else:
        done = _drctl(lab, ran, "run", case.runbook, "-e", "lab", *words, "--no-input")
        found.ended = "refused" if done.returncode == 5 else f"exit {done.returncode}"
    _named(found, fate, looked)
    _happened(found, looked, seen, lab, fate)
    found.undeclared = undeclared(looked, [*_lines(seen), *_lines(ran)], net)
    return found


def inputs(runbook: str) -> list[str]:
    """What a shipped runbook must be given."""
    text = (ROOT / "runbooks" / f"{runbook}.yaml").read_text()
    given = {"incident": "chg-20261122-001" if "chg-" in text else "inc-20261122-001"}
    if "restore_to:" in text or "to_time:" in text:
        raise ValueError(f"{runbook} needs a time; the comparison has none for it")
    return [word for name, value in given.items() for word in ("-i", f"{name}={value}")]


def take_away(lab: Lab, case: Case) -> None:
    """Loses the region for real."""
    how = {"dead": "kill", "silent": "partition"}[case.how]
    done = lab.drctl("lab", "break", "region", case.region, "--how", how)
    assert done.returncode == 0, done.stdout + done.stderr
    time.sleep(1.0)


def run(lab: Lab, case: Case, record: Path) -> str:
    """Runs it, says go at each gate, and tells how it ended in the plan's words."""
    env = {**lab.env, "DRCTL_RECORD": str(record)}
    process = subprocess.Popen(
        [*RECORDED, "run", case.runbook, "-e", "lab", *inputs(case.runbook), "--no-input",
         *ANY_LOSS],
        env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lab.started.append(process)
    end = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        gates = _open_gates(lab)
        for gate in gates:
            lab.drctl("approve", "latest", gate, "--reason", "comparison")
        time.sleep(0.5)
    out = process.stdout.read() if process.stdout else ""
    finished = [e for e in _events(lab) if e["type"] == "run_finished"]
    if not finished:
        return "refused" if process.returncode == 5 else f"exit {process.returncode}: {out[-300:]}"
    result = finished[-1]["result"]
    failed = [e for e in _events(lab) if e["type"] == "step_finished" and e["outcome"] == "failed"]
    if result == "succeeded":
        return "succeeds"
    return (
        {"paused": "pauses", "failed": "pauses", "unsafe": "pauses"}.get(result, result)
        if failed
        else result
    )


def _open_gates(lab: Lab) -> list[str]:
    opened = [e["gate"] for e in _events(lab) if e["type"] == "gate_opened"]
    closed = sum(e["type"] == "gate_answered" for e in _events(lab))
    return opened[closed:]


def _events(lab: Lab) -> list[dict]:
    try:
        return lab.events()
    except (ValueError, FileNotFoundError, json.JSONDecodeError):
        return []


def _named(found: Found, fate: dict, looked: dict) -> None:
    for one in fate["fails"]:
        key = (one["part"], one["step"], one["uses"], one["target"])
        if one["reached"] == "yes" and one["part"] != "undo":
            found.named.add(key)
        else:
            found.unreached += 1


def _happened(found: Found, looked: dict, seen: Path, lab: Lab, fate: dict) -> None:
    # Looks and pins: as the plan made them while the region was away.
    by_label = {}
    for line in _lines(seen):
        if line["part"] in {"observe", "pin", "lease"}:
            by_label.setdefault((line["part"], line["uses"], line.get("target", "")), []).append(
                line["outcome"]
            )
    for step in looked["steps"]:
        call = step["call"]
        if call is None:
            continue
        label = _label(looked, call["target"])
        outcomes = by_label.get(("observe", call["uses"], label), [])
        key = ("look", step["id"], call["uses"], call["target"] or "")
        if outcomes:
            found.made.add(key)
            if any(o != "ok" for o in outcomes):
                found.failed.add(key)
    for pin in looked["pins"]:
        key = ("pin", "", pin["name"], pin["subject"])
        found.made.add(key)
        if pin["found"] is None:
            found.failed.add(key)
    # Steps and checks: from the journal, which says what each attempt came to.
    steps = {step["id"]: step for step in looked["steps"]}
    last = {e["step"]: e for e in _events(lab) if e["type"] == "step_finished"}
    for name, event in last.items():
        call = steps[name]["call"]
        if call is None or event["outcome"] == "skipped":
            continue
        key = ("step", name, call["uses"], call["target"] or "")
        found.made.add(key)
        if event["outcome"] != "succeeded":
            check = next(
                (v for v in steps[name]["verify"] if (event["why"] or "").startswith(v["uses"])),
                None,
            )
            if event["error"] == "verify" and check:
                key = ("verify", name, check["uses"], check["target"] or "")
                found.made.add(key)
            found.failed.add(key)


def undeclared(plan: dict, lines: list[dict], net: int) -> list[str]:
    """Calls that connected into a region which their declaration does not name."""
    from drctl.actions.planes import place_of
    from drctl.actions.registry import installed
    from drctl.actions.targets import AnyTarget
    from pydantic import TypeAdapter

    registry, adapter = installed(), TypeAdapter(AnyTarget)
    targets = {}
    for raw in plan["targets"].values():
        made = adapter.validate_python(raw)
        targets[made.label, made.kind] = made
    regions = {f"127.{net + octet}.": region for region, octet in OCTET.items()}
    wrong = set()
    for line in lines:
        if line["part"] not in {"observe", "perform", "settled"}:
            continue
        action = registry.get(line["uses"])
        target = targets.get((line.get("target"), line.get("kind")))
        if action is None or target is None:
            continue
        declared = {place_of(ask.plane) for ask in action.asks(target, None)}
        if line["part"] == "observe":
            asks = action.asks_to_look(target, None) if action.looks_blind else action.asks(target)
            declared = {place_of(ask.plane) for ask in asks}
        for address in line["asked"]:
            region = next((r for p, r in regions.items() if address.startswith(p)), None)
            if region and declared.isdisjoint({region, "elsewhere"}):
                wrong.add(
                    f"{line['part']} {line['uses']} {line['target']} asks {region} ({address})"
                )
    return sorted(wrong)


def _label(plan: dict, name: str | None) -> str:
    if name is None:
        return "nothing"
    from drctl.actions.targets import AnyTarget
    from pydantic import TypeAdapter

    return TypeAdapter(AnyTarget).validate_python(plan["targets"][name]).label


def _drctl(lab: Lab, record: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RECORDED, *words],
        env={**lab.env, "DRCTL_RECORD": str(record)},
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def _json(lab: Lab, record: Path, *words: str) -> dict:
    done = _drctl(lab, record, *words)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(done.stdout[-2000:] + done.stderr[-2000:]) from None


def _lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def shown(case: Case, found: Found) -> str:
    lines = [
        f"{case}: {'right' if found.is_right else 'WRONG'};"
        f" named {len(found.named)}, failed {len(found.failed)}, made {len(found.made)},"
        f" not reached {found.unreached}; foretold {found.foretold}, ended {found.ended}"
    ]
    for word in ("missed", "false_alarms", "unmade", "strays", "undeclared"):
        lines += [
            f"    {word}: {' '.join(one) if isinstance(one, tuple) else one}"
            for one in sorted(getattr(found, word))
        ]
    return "\n".join(lines)


def one(case: Case, net: int, tmp: Path) -> Found:
    """A whole case, with its lab."""
    tmp.mkdir(parents=True, exist_ok=True)
    lab = lab_of(net, tmp)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", case.shape, timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        assert lab.drctl("lab", "traffic").returncode == 0
        time.sleep(1.5)
        return compare(lab, case, tmp)
    finally:
        lab.stop()
        lab.drctl("lab", "down")


if __name__ == "__main__":
    import tempfile

    net = int(os.environ.get("DRCTL_LAB_NET", "164"))
    for text in sys.argv[1:]:
        case = Case(*text.split("/"))
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            print(
                shown(case, one(case, net, Path(folder))),
                f"({time.monotonic() - began:.0f} s)",
                flush=True,
            )
