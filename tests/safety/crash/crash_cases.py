"""One case: a run, where it dies, and what must be true when it has been taken up again."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "scenarios"))

import crash_calls
from crash_disk import Disk, intents_of
from crash_estate import Estate, faults_in, faults_of, final, registry_of
from model_estate import environment_of, inputs_of, model_world

from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.reading import fold_run
from drctl.app.resuming import resume_run
from drctl.app.runbooks import load
from drctl.app.running import Consent, run_plan
from drctl.cli.execute import exit_code
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine.events import GateOpened, RunFinished
from drctl.engine.ports import Answer
from drctl.journal.folder import all_folders
from drctl.journal.inbox import drop
from drctl.kernel import failpoints, yaml_text, yaml_tree
from drctl.kernel.errors import DrctlError
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.runbook import resolve_inputs
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.world import World

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
RUNBOOKS = sorted(path.stem for path in (ROOT / "runbooks").glob("*.yaml"))
MOST_RESUMES = 2
"""After the last death; more would mean that a person has to try again and again."""
RESTED_S = 5.0
"""Virtual seconds between a death and the resume."""


@dataclass(frozen=True)
class Case:
    """What is done to one run. Its text repeats it: RUNBOOK/ESTATE/SEED/DEATHS."""

    runbook: str
    estate: str = "at_once"
    seed: int = 0
    """Which replies are lost and which calls are throttled; 0: none."""
    deaths: tuple[str, ...] = ()
    """One for each process: ``POINT@N``, ``any@N`` (the nth place of all), ``applied@N`` (right
    after the nth effect), ``SIGINT@SECONDS``, ``SIGTERM@SECONDS``, ``call@N:DEED`` (the nth system
    call on the files of the run); with ``!`` behind it the power
    goes too."""

    def __str__(self) -> str:
        return f"{self.runbook}/{self.estate}/{self.seed}/{'+'.join(self.deaths)}"

    @staticmethod
    def read(text: str) -> "Case":
        runbook, estate, seed, deaths = text.split("/", 3)
        return Case(runbook, estate, int(seed), tuple(filter(None, deaths.split("+"))))


@dataclass
class Told:
    """What came of a case."""

    end: dict[str, Any]
    state: dict[str, str]
    died: int = 0
    resumes: int = 0
    ill: list[str] = field(default_factory=list)
    took_s: float = 0.0


@cache
def base(runbook: str) -> tuple[Plan, World]:
    """The runbook's plan in its model world, made once."""
    path, own = ROOT / "runbooks" / f"{runbook}.yaml", HERE / "worlds" / f"{runbook}.yaml"
    environment, inputs, world = environment_of(path), inputs_of(path), model_world(path)
    if own.exists():  # quicker than the model's, so that one that dies thrice meets its objective
        document = yaml_text.read(own.read_text(), file=str(own))
        assert not document.problems
        told = yaml_tree.plain(document.root)
        inputs, told = told.pop("inputs"), World.model_validate(told)
        world = told.model_copy(update={"actions": {**world.actions, **told.actions}})

    async def make() -> Plan:
        env = load_environment(environment)
        real = installed()
        with tempfile.TemporaryDirectory() as nowhere:
            estate = Estate(Path(nowhere), "at_once", Disk(Path(nowhere)))
            registry = registry_of(world, {}, real, estate)
            loaded = load(path, registry, env.targets)
            planner = Planner(registry=registry, clock=VirtualClock(), secrets=LocalSecrets())
            given = resolve_inputs(loaded.runbook, inputs)
            draft = planner.draft(
                loaded.runbook, "0" * 64, env, given, included=loaded.source.included
            )
            plan = await planner.look(draft)
        return plan.model_copy(update={"world": "simulated"}).sealed()

    return run_virtual(make()), world


class _Later(VirtualClock):
    """Goes on where the process before died."""

    def __init__(self, since_s: float) -> None:
        super().__init__()
        self._since_s = since_s

    def now(self) -> Any:
        from datetime import timedelta

        seen = super().now()
        return replace(
            seen,
            wall=seen.wall + timedelta(seconds=self._since_s),
            boot_s=seen.boot_s + self._since_s,
        )


class _People:
    """Say go, through the inbox, some seconds after they are asked."""

    def __init__(self, after_s: float = 2.0) -> None:
        self._after_s, self._inbox = after_s, Path()

    def opened(self, _plan: Any, folder: Any) -> None:
        self._inbox = folder.inbox

    def seen(self, record: Any, _state: Any) -> None:
        if isinstance(record.event, GateOpened):
            yes = Answer(gate=record.event.step, answer="approve", by="commander", via="test")
            loop = asyncio.get_running_loop()

            def say() -> None:
                try:
                    drop(self._inbox, yes)
                except OSError:  # as a person would, once the disk is well again
                    loop.call_later(self._after_s, say)

            loop.call_later(self._after_s, say)

    def said(self, _step: str, _text: str) -> None: ...
    def tick(self, _state: Any) -> None: ...
    def closed(self) -> None: ...


def live(case: Case, place: Path, death: str | None, watch: Callable[..., None] | None) -> None:
    """One process's life, from its start to its end or its death; writes what came of it."""
    plan, world = base(case.runbook)
    disk = Disk(place)
    disk.follow()
    word, _, number = (death or "").partition("@")
    dies_after = int(number) if word == "applied" else 0
    estate = Estate(place, case.estate, disk, dies_after)
    estate.outlive()
    real = installed()
    folders = all_folders(place / "runs")
    since_s = 0.0
    if folders and (records := folders[0].read().records):
        since_s = records[-1].at.boot_s + RESTED_S
    parts = Parts(
        registry=registry_of(world, faults_of(case.seed, plan, real), real, estate),
        clock=_Later(since_s),
        secrets=LocalSecrets(),
        runs=place / "runs",
    )
    _arm(word, number, watch)

    async def main() -> RunFinished:
        loop = asyncio.get_running_loop()
        if word in {"SIGINT", "SIGTERM"}:
            at_s = float(number)

            def hit() -> None:
                (place / "signalled").write_text(str(loop.time()))
                os.kill(os.getpid(), signal.Signals[word])

            loop.call_later(at_s, hit)
        try:
            if folders:
                return await resume_run(parts, folders[0], [_People()])
            return (await run_plan(parts, plan, Consent(), [_People()]))[0]
        finally:
            if (place / "signalled").exists() and word.startswith("SIG"):
                since = loop.time() - float((place / "signalled").read_text())
                (place / "signalled").write_text(str(since))

    try:
        end = run_virtual(main())
        said: dict[str, Any] = {"result": end.result, "why": end.why, "exit": int(exit_code(end))}
    except DrctlError as error:
        said = {"result": type(error).__name__, "why": str(error), "exit": None}
        said["codes"] = [problem.code for problem in error.problems]
    (place / "said").write_text(json.dumps(said))


def _arm(word: str, number: str, watch: Callable[..., None] | None) -> None:
    failpoints.arm([])
    failpoints.watch(watch)
    if word == "any":
        left = [int(number)]

        def count(_point: str, _nth: int) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        failpoints.watch(count)
    elif word and word != "applied" and not word.startswith("SIG"):
        failpoints.arm(failpoints.parse(f"{word}@{number}:kill"))


def forked(work: Callable[[], None]) -> int:
    """Runs *work* in a child and returns how that ended, as `os.waitpid` says it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 (the parent shows it)
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def where() -> Path:
    """A file system in memory if there is one: what the power takes is modelled, not made."""
    memory = Path("/dev/shm")  # noqa: S108
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def tell(case: Case) -> Told:
    """Runs a case: deaths, resumes, and the look at what is left."""
    place = Path(tempfile.mkdtemp(prefix="drctl-crash-", dir=where()))
    try:
        return _tell(case, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _tell(case: Case, place: Path) -> Told:  # noqa: PLR0912 (a life in its order)
    told = Told(end={}, state={})
    deaths = list(case.deaths)
    while True:
        death, has_power = (deaths.pop(0) if deaths else None), True
        if death is not None and death.endswith("!"):
            death, has_power = death[:-1], False
        if death is None and told.died:
            told.resumes += 1
        (place / "said").unlink(missing_ok=True)
        if death is not None and death.startswith("call@"):
            status = _called(case, place, death, told)
        else:
            status = forked(lambda death=death: live(case, place, death, None))
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if is_killed:
            told.died += 1
            if not has_power:
                Disk(place).lose_power()
            _look(place, told)
            continue
        if status != 0 or not (place / "said").exists():
            told.ill.append(f"a process ended with {status} and said nothing")
            break
        told.end = json.loads((place / "said").read_text())
        if death is not None and death.startswith("SIG") and (place / "signalled").exists():
            told.died += 1
            told.took_s = max(told.took_s, float((place / "signalled").read_text()))
            (place / "signalled").unlink()
            if told.end["result"] == "interrupted":
                continue
        if death is not None and death.startswith("call@"):
            told.died += 1
            if told.end["result"] != "succeeded":
                continue
        if not _goes_on(place, told):
            break
    _judge(case, place, told)
    return told


def _called(case: Case, place: Path, death: str, told: Told) -> int:
    """A process one of whose system calls on the run's files does not go well."""
    number, _, deed = death.removeprefix("call@").partition(":")
    failed: list[crash_calls.Call] = []
    sent: list[int] = []

    def verdict(call: crash_calls.Call) -> str | None:
        if call.number == int(number):
            failed.append(call)
            sent.append(_sent(place))
            return deed
        # A disk that is full stays full; what cannot be written to stays so.
        is_full = deed in {"ENOSPC", "EDQUOT"} and call.name in crash_calls.TAKES_ROOM
        return deed if failed and (is_full or deed == "EROFS") else None

    work = lambda: live(case, place, None, None)  # noqa: E731
    status = crash_calls.watched(work, place / "runs", verdict)
    is_record = failed and failed[0].path.endswith("events.jsonl") and deed not in {"SHORT", "KILL"}
    is_record = is_record and failed[0].name in {"write", "fsync"}
    if is_record and _sent(place) != sent[0]:
        told.ill.append(f"I6: {_sent(place) - sent[0]} requests after {failed[0]} failed")
    return status


def _sent(place: Path) -> int:
    ledger = place / "ledger"
    return ledger.read_text().count('"kind": "sent"') if ledger.exists() else 0


def calls_of(runbook: str) -> list[str]:
    """The system calls of an uninterrupted run on its files, in order."""
    place = Path(tempfile.mkdtemp(prefix="drctl-crash-", dir=where()))
    seen: list[str] = []
    try:
        work = lambda: live(Case(runbook), place, None, None)  # noqa: E731
        status = crash_calls.watched(work, place / "runs", lambda call: seen.append(call.name))
        assert status == 0
        return seen
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _goes_on(place: Path, told: Told) -> bool:
    """Whether another process has to be started; a run that never began is begun anew."""
    if told.end.get("codes") == ["DR3010"] and told.resumes <= MOST_RESUMES:
        for folder in all_folders(place / "runs"):
            shutil.rmtree(folder.path)
        return True
    if told.end["result"] in {"interrupted", "unknown"} and told.resumes < MOST_RESUMES:
        return True
    if told.end.get("codes") == ["DR3005"]:  # it had finished before its process died
        folder = all_folders(place / "runs")[0]
        end = fold_run(folder)[0].finished
        told.end = {"result": end.result, "why": end.why, "exit": int(exit_code(end))}
    return False


def _look(place: Path, told: Told) -> None:
    """Right after a death: every request that was sent has its intent in what is left."""
    ledger = place / "ledger"
    sent: dict[tuple[str, str], int] = {}
    for line in ledger.read_text().splitlines() if ledger.exists() else ():
        said = json.loads(line)
        if said["kind"] == "sent":
            effect = (said["action"], said["key"])
            sent[effect] = sent.get(effect, 0) + 1
    intents: dict[tuple[str, str], int] = {}
    for folder in all_folders(place / "runs"):
        try:
            intents = intents_of(folder.journal)
        except DrctlError as error:
            told.ill.append(f"I28: after a death the journal does not verify: {error}")
            return
    ill = [name for (name, key), count in sent.items() if intents.get((name, key), 0) < count]
    told.ill += [f"I6: {name} was sent and its intent is lost" for name in ill]


@cache
def uninterrupted(runbook: str, estate: str, seed: int) -> Told:
    """The run that nothing happens to, in the same world."""
    told = tell(Case(runbook, estate, seed))
    assert not told.ill, told.ill
    assert told.end["result"] == "succeeded", told.end
    return told


def _judge(case: Case, place: Path, told: Told) -> None:
    real = installed()
    told.state = final(place / "ledger", real)
    told.ill += faults_in(place / "ledger", real)
    folders = all_folders(place / "runs")
    if len(folders) != 1:
        told.ill.append(f"I28: {len(folders)} runs are left")
    for folder in folders:
        try:
            state, chain = fold_run(folder)
        except DrctlError as error:
            told.ill.append(f"I28: the journal does not verify: {error}")
            continue
        if folder.is_held():
            told.ill.append("I9: the run is held by nobody who lives")
        if chain.torn_bytes or state.finished is None:
            told.ill.append("I7: the record has no end")
    if told.took_s > 5.0:
        told.ill.append(f"I11: {told.took_s:.1f}s from the signal to the end")
    if told.resumes > MOST_RESUMES:
        told.ill.append(f"I7: {told.resumes} resumes")
    if not case.deaths:
        return
    wanted = uninterrupted(case.runbook, case.estate, case.seed)
    if told.state != wanted.state:
        ours, theirs = set(told.state.items()), set(wanted.state.items())
        told.ill.append(f"I7: the estate differs: {sorted(ours ^ theirs)}")
    for name in ("result", "exit"):
        if told.end[name] != wanted.end[name]:
            told.ill.append(
                f"I7: {name} is {told.end[name]} and not {wanted.end[name]}: {told.end['why']}"
            )


@cache
def hits(runbook: str, estate: str, seed: int = 0) -> tuple[str, ...]:
    """Every place that an uninterrupted run passes, as ``POINT@N``, in order."""
    place = Path(tempfile.mkdtemp(prefix="drctl-crash-", dir=where()))
    seen = place / "hits"

    def work() -> None:
        with seen.open("w") as file:
            live(
                Case(runbook, estate, seed), place, None,
                lambda point, nth: print(f"{point}@{nth}", file=file, flush=True),
            )  # fmt: skip

    try:
        assert forked(work) == 0
        return tuple(seen.read_text().split())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def spread(cases: Sequence[Case], share: int, seed: int = 7) -> list[Case]:
    """Some of the cases, the same ones each time."""
    if len(cases) <= share:
        return list(cases)
    return random.Random(seed).sample(list(cases), share)
