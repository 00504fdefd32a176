"""
What a plan said would fail, against what did fail.

``python comparison.py [SHAPE/REGION/HOW ...]``, or all of `GROUPS`. For each group a lab comes up.
While all is well ``drctl plan --assume-down`` says of each runbook what would fail; then the region
is really taken away, and the same runbooks are planned and run, every call of them written down
(`recorded`). The two must name the same calls, and each run must end as its plan said. Numbers go
to ``build/honesty/fate.json``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from drctl.actions.contract import Action, Params
from drctl.actions.planes import place_of
from drctl.actions.registry import installed
from drctl.actions.targets import AnyTarget

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from e2e_lab import Lab, lab_of  # noqa: E402  (behind the path that leads to it)

BUILD = ROOT / "build" / "honesty"
RECORDED = [sys.executable, str(HERE / "recorded.py")]
ANY_LOSS = ("--accept-data-loss", "unknown", "--reason", "comparison")
OCTET = {"us-east-1": 1, "us-west-2": 2}
"""What is added to a lab's net to give the second octet of a region's addresses."""
REFUSED = 5
GROUPS = {
    "region/us-east-1/dead": (
        "app-rollback", "lb-rebuild", "isolate-and-rotate", "region-failover",
        "post-recovery-validation",
    ),
    "region/us-east-1/silent": ("lb-rebuild", "region-failover"),
    "region/us-west-2/dead": (
        "region-failover", "isolate-and-rotate", "lb-rebuild", "app-rollback",
    ),
    "two-way/us-east-1/dead": ("region-switchover", "region-reprotect"),
    "two-way/us-west-2/dead": ("region-switchover", "region-failback", "region-reprotect"),
    "database-rds/us-east-1/dead": ("database-failover-rds",),
    "database-rds/us-west-2/dead": ("database-failover-rds",),
    "operator/us-east-1/dead": ("database-failover-kubernetes",),
    "operator/us-west-2/dead": ("database-failover-kubernetes",),
    "database/us-east-1/dead": ("database-switchover", "database-failover"),
    "cache/us-east-1/dead": ("cache-failover",),
}  # fmt: skip
"""Runbooks by shape, region and way; of a group those first that change nothing."""

Call = tuple[str, ...]
"""Part, step, name, target."""


@dataclass
class Found:
    """What came of one runbook in one lab."""

    named: set[Call] = field(default_factory=set)
    """Calls that the plan says are made and fail."""
    perhaps: set[Call] = field(default_factory=set)
    """Calls that it says fail if the run comes as far."""
    failed: set[Call] = field(default_factory=set)
    made: set[Call] = field(default_factory=set)
    foretold: str = ""
    ended: str = ""
    strays: list[str] = field(default_factory=list)
    """Connections into the region while it was only assumed to be down."""
    undeclared: list[str] = field(default_factory=list)
    """Calls that went to a region that they do not declare."""
    unreached: int = 0
    """Calls that are named, and that the run is said not to come to."""
    elsewhere: set[Call] = field(default_factory=set)
    """Calls that failed without asking the region at all: a slow machine, and not the loss."""
    log: str = ""

    @property
    def missed(self) -> set[Call]:
        """Failed, and were not named."""
        return self.failed - self.named - self.perhaps

    @property
    def false_alarms(self) -> set[Call]:
        """Said to fail; made, and did not fail, or never made."""
        alarms = (self.named - self.failed) | ((self.perhaps & self.made) - self.failed)
        return alarms - self.elsewhere

    @property
    def is_right(self) -> bool:
        """True when plan and world agree in everything."""
        wrong = self.missed or self.false_alarms or self.strays or self.undeclared
        return not wrong and self.foretold == self.ended

    def shown(self, name: str) -> str:
        """One line, and one more for each difference."""
        verdict = "WRONG" if not self.elsewhere else "UNDECIDED, the machine was too slow"
        verdict = "right" if self.is_right else verdict
        lines = [
            (
                f"{name}: {verdict}; named {len(self.named)}, failed {len(self.failed)} of"
                f" {len(self.made)} made, {self.unreached} named and not reached;"
                f" foretold {self.foretold}, ended {self.ended}"
            )
        ]
        for word in ("missed", "false_alarms", "elsewhere"):
            lines += [f"    {word}: {' '.join(one)}" for one in sorted(getattr(self, word))]
        for word in ("strays", "undeclared"):
            lines += [f"    {word}: {one}" for one in getattr(self, word)]
        return "\n".join(lines + ([f"    {self.log}"] if self.log and not self.is_right else []))


@dataclass(frozen=True)
class Group:
    """One lab from which one region is taken."""

    lab: Lab
    region: str
    how: str
    tmp: Path

    @property
    def net(self) -> int:
        return int(self.lab.env["DRCTL_LAB_NET"])

    def foretell(self, runbook: str) -> tuple[dict, list[str]]:
        """The fate of a plan, and each connection that planning made into the region."""
        record = self.tmp / f"{runbook}-assumed.jsonl"
        down = f"{self.region}={self.how}"
        words = ("plan", runbook, "-e", "lab", *inputs(runbook), "-o", "json", "--assume-down")
        plan = json.loads(self.drctl(record, *words, down).stdout)
        inside = f"127.{self.net + OCTET[self.region]}."
        asked = {a for line in lines(record) for a in line["asked"] if is_inside(a, inside)}
        return plan["fate"], sorted(asked)

    def take_away(self) -> None:
        """Loses the region for real."""
        how = {"dead": "kill", "silent": "partition"}[self.how]
        done = self.lab.drctl("lab", "break", "region", self.region, "--how", how)
        assert done.returncode == 0, done.stdout + done.stderr
        time.sleep(1.0)

    def happen(self, runbook: str, fate: dict, strays: list[str]) -> Found:
        """Plans and runs it without the region, and compares."""
        found = Found(foretold=fate["ending"], strays=strays)
        for one in fate["fails"]:
            key = (one["part"], one["step"], one["uses"], one["target"])
            is_made = one["reached"] != "no" and one["part"] != "undo"
            found.unreached += not is_made
            if is_made:
                (found.named if one["reached"] == "yes" else found.perhaps).add(key)
        looked = self.tmp / f"{runbook}-looked.jsonl"
        words = (runbook, "-e", "lab", *inputs(runbook))
        plan = json.loads(self.drctl(looked, "plan", *words, "-o", "json").stdout)
        ran = self.tmp / f"{runbook}-ran.jsonl"
        before = self.runs()
        found.ended, found.log = self.run(runbook, ran, before)
        events = self.events(before)
        seen = Seen([*lines(looked), *lines(ran)], f"127.{self.net + OCTET[self.region]}.")
        count_looks(found, plan, seen)
        count_steps(found, plan, events, seen)
        count_leases(found, seen)
        found.undeclared = undeclared(plan, [*lines(looked), *lines(ran)], self.net)
        return found

    def run(self, runbook: str, record: Path, before: set[Path]) -> tuple[str, str]:
        """Runs it, says go at each gate; how it ended in the plan's words, and its last words."""
        words = ["run", runbook, "-e", "lab", *inputs(runbook), "--no-input", *ANY_LOSS, "--again"]
        with (self.tmp / f"{runbook}.out").open("w+") as out:
            process = subprocess.Popen(
                [*RECORDED, *words],
                env={**self.lab.env, "DRCTL_RECORD": str(record)},
                cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            end = time.monotonic() + 300
            while process.poll() is None and time.monotonic() < end:
                self.answer(before)
                time.sleep(0.5)
            process.kill()
            process.wait()
            out.seek(0)
            said = " | ".join(out.read().splitlines()[-4:])
        finished = [e for e in self.events(before) if e["type"] == "run_finished"]
        if not finished:
            return ("refused" if process.returncode == REFUSED else f"{process.returncode}"), said
        return ENDINGS.get(finished[-1]["result"], finished[-1]["result"]), said

    def answer(self, before: set[Path]) -> None:
        """Says go at a gate that is open."""
        events = self.events(before)
        opened = [e["gate"] for e in events if e["type"] == "gate_opened"]
        for gate in opened[sum(e["type"] == "gate_answered" for e in events) :]:
            self.lab.drctl("approve", "latest", gate, "--reason", "comparison")

    def runs(self) -> set[Path]:
        folder = self.lab.state / "drctl" / "runs"
        return set(folder.iterdir()) if folder.exists() else set()

    def events(self, before: set[Path]) -> list[dict]:
        """Of the run that was not there before; empty when none was made."""
        for run in self.runs() - before:
            try:
                text = (run / "events.jsonl").read_text()
                return [json.loads(line) for line in text.splitlines() if line.endswith("}")]
            except (OSError, ValueError):
                return []
        return []

    def drctl(self, record: Path, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*RECORDED, *words],
            env={**self.lab.env, "DRCTL_RECORD": str(record)},
            cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.stdout.startswith("{"), done.stdout[-2000:] + done.stderr[-2000:]
        return done


ENDINGS = {"succeeded": "succeeds", "paused": "pauses", "failed": "pauses", "refused": "refused"}
"""A run that pauses for a person without one there ends, as failed when it has changed anything."""


def inputs(runbook: str) -> list[str]:
    """What a shipped runbook must be given."""
    text = (ROOT / "runbooks" / f"{runbook}.yaml").read_text()
    kind = "chg" if "^chg-" in text else "inc"
    return ["-i", f"incident={kind}-20261122-001"] if "\n  incident:" in text else []


def lines(path: Path) -> list[dict]:
    """What `recorded` has written."""
    return [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []


def is_inside(address: str, inside: str) -> bool:
    """Whether an address, or a machine that programs are run on, is in a region of the lab."""
    octet = int(inside.split(".")[1])
    is_east = octet % 4 == OCTET["us-east-1"]
    return address.startswith(inside) or (is_east and address.startswith("machine:"))


@dataclass
class Seen:
    """What `recorded` has written, by call."""

    lines: list[dict]
    inside: str
    """How addresses in the lost region begin."""

    def of(self, parts: tuple[str, ...], uses: str, target: str) -> list[dict]:
        wanted = (uses, target)
        return [
            line
            for line in self.lines
            if line["part"] in parts and (line["uses"], line["target"]) == wanted
        ]

    def has_asked_there(self, told: list[dict]) -> bool:
        return any(is_inside(a, self.inside) for line in told for a in line["asked"])


def count_looks(found: Found, plan: dict, seen: Seen) -> None:
    """Looks and pins, as the plan made them while the region was away."""
    for step in plan["steps"]:
        call = step["call"]
        told = seen.of(("observe",), call["uses"], label(plan, call["target"])) if call else []
        if told:
            key = ("look", step["id"], call["uses"], call["target"] or "")
            has_failed = any(line["outcome"] != "ok" for line in told)
            _count(found, key, seen, told, has_failed=has_failed)
    for pin in plan["pins"]:
        told = seen.of(("pin",), pin["name"], pin["subject"])
        key = ("pin", "", pin["name"], pin["subject"])
        _count(found, key, seen, told, has_failed=pin["found"] is None)


def count_steps(found: Found, plan: dict, events: list[dict], seen: Seen) -> None:
    """Steps and their checks: from the journal, which has what each attempt came to."""
    steps = {step["id"]: step for step in plan["steps"]}
    last = {e["step"]: e for e in events if e["type"] == "step_finished"}
    for name, event in last.items():
        step, call = steps[name], steps[name]["call"]
        # A guard refuses without asking anybody; what was skipped was not asked either.
        if call is None or event["outcome"] == "skipped" or event["error"] in {"guard", "pin"}:
            continue
        has_failed = event["outcome"] != "succeeded"
        parts = ("perform", "settled")
        key = ("step", name, call["uses"], call["target"] or "")
        told = seen.of(parts, call["uses"], label(plan, call["target"]))
        if event["error"] == "verify":
            _count(found, key, seen, told, has_failed=False)
            [check] = [v for v in step["verify"] if (event["why"] or "").startswith(v["uses"])]
            key = ("verify", name, check["uses"], check["target"] or "")
            told = seen.of(parts, check["uses"], label(plan, check["target"]))
        _count(found, key, seen, told, has_failed=has_failed)


def count_leases(found: Found, seen: Seen) -> None:
    """The lease, once for all its reads and writes."""
    told = [line for line in seen.lines if line["part"] == "lease"]
    for place in {(line["uses"], line["target"]) for line in told}:
        has_failed = all(line["outcome"] != "ok" for line in told)
        _count(found, ("lease", "", *place), seen, told, has_failed=has_failed)


def _count(found: Found, key: Call, seen: Seen, told: list[dict], *, has_failed: bool) -> None:
    found.made.add(key)
    if has_failed:
        (found.failed if seen.has_asked_there(told) else found.elsewhere).add(key)


def undeclared(plan: dict, seen: list[dict], net: int) -> list[str]:
    """Calls that connected into a region which their declaration does not name."""
    registry = installed()
    targets = {(made.label, made.kind): made for made in map(target_of, plan["targets"].values())}
    regions = {f"127.{net + octet}.": region for region, octet in OCTET.items()}
    wrong = set()
    for line in seen:
        action = registry.get(line.get("uses", ""))
        target = targets.get((line.get("target"), line.get("kind")))
        if action is None or target is None:
            continue
        is_blind_look = line["part"] == "observe" and action.looks_blind
        given = defaults(action)
        asks = action.asks_to_look(target, given) if is_blind_look else action.asks(target, None)
        declared = {place_of(ask.plane) for ask in asks}
        for address in line["asked"]:
            region = next((r for p, r in regions.items() if address.startswith(p)), None)
            if region and declared.isdisjoint({region, "elsewhere"}):
                wrong.add(f"{line['part']} {line['uses']} {line['target']} asks {region}")
    return sorted(wrong)


def defaults(action: Action) -> Params | None:
    """What an action is given by a step that says nothing."""
    try:
        return action.params()
    except ValidationError:
        return None


def target_of(raw: dict) -> AnyTarget:
    """A target as the plan has it."""
    return TypeAdapter(AnyTarget).validate_python(raw)


def label(plan: dict, name: str | None) -> str:
    """What the recorder calls a target."""
    return target_of(plan["targets"][name]).label if name else "nothing"


def compare(group: str, runbooks: tuple[str, ...], net: int, tmp: Path) -> dict[str, Found]:
    """A whole group, with its lab."""
    shape, region, how = group.split("/")
    lab = lab_of(net, tmp)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", shape, timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        assert lab.drctl("lab", "traffic").returncode == 0
        time.sleep(1.5)
        made = Group(lab=lab, region=region, how=how, tmp=tmp)
        told = {runbook: made.foretell(runbook) for runbook in runbooks}
        made.take_away()
        return {runbook: made.happen(runbook, *told[runbook]) for runbook in runbooks}
    finally:
        lab.stop()
        lab.drctl("lab", "down")


def keep(group: str, told: dict[str, Found]) -> None:
    """Keeps a group's numbers, and writes the row for the table from all groups that are kept."""
    parts = BUILD / "parts" / "fate.json"
    parts.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(parts.read_text()) if parts.exists() else {}
    known[group] = {
        runbook: {
            "named": len(one.named & one.failed),
            "failed": len(one.failed),
            "false_alarms": len(one.false_alarms),
            "is_right": one.is_right,
        }
        for runbook, one in told.items()
    }
    parts.write_text(json.dumps(known, indent=1) + "\n")
    every = [one for runbooks in known.values() for one in runbooks.values()]
    named, failed, alarms, right = (
        sum(one[name] for one in every) for name in ("named", "failed", "false_alarms", "is_right")
    )
    left = sorted(set(GROUPS) - set(known))
    row = {
        "line": "drctl plan --assume-down: each call that fails is named, and no other",
        "wanted": "every failed call named, 0 false alarms, every run ends as foretold",
        "found": f"{named} of {failed} failed calls named, {alarms} false alarms,"
        f" {right} of {len(every)} runs as foretold"
        + (f"; not compared: {', '.join(left)}" if left else ""),
        "ok": right == len(every) and not left,
    }
    (BUILD / "fate.json").write_text(json.dumps(row, indent=1) + "\n")


def main(words: list[str]) -> int:
    """Compares the groups that are named, or all; 1 when one is wrong."""
    net, is_right = int(os.environ.get("DRCTL_LAB_NET", "164")), True
    for group in words or list(GROUPS):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            began_s = time.monotonic()
            told = compare(group, GROUPS[group], net, Path(folder))
        for runbook, one in told.items():
            print(one.shown(f"{group} {runbook}"), flush=True)
            is_right = is_right and one.is_right
        keep(group, told)
        print(f"  {time.monotonic() - began_s:.0f} s", flush=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
