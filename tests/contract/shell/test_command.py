"""Programs that are really run."""

import asyncio
import dataclasses
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from drctl.actions.contract import CannotTell, Change, Context, Done, NotDone, Nothing
from drctl.actions.errors import AuthRejected, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import Target
from drctl.adapters.shell.command import Command, CommandParams, Destroy, Look, LookParams
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.errors import CredentialsError, Problem
from drctl.kernel.secret import Secret

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

CLOCK, NOTHING = SystemClock(), Target()
RUN, LOOK = Command(), Look()
SECRET = "hunter2-and-more"


class Keys:
    def resolve(self, ref):
        if ref.place == "gone":
            raise CredentialsError((Problem(code="DR5201", what="env:gone is not set"),))
        return Secret(SECRET)


@pytest.fixture
def ctx():
    permitted = []
    made = Context(
        clock=CLOCK,
        deadline=Deadline.after(CLOCK, timedelta(seconds=20)),
        secrets=Keys(),
        permit=lambda: permitted.append(1),
    )
    return made, permitted


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", "-W", "ignore", _script(code), *words]


def _script(code: str) -> str:
    place = Path(FOLDER) / f"{abs(hash(code))}.py"
    place.write_text(code)
    return str(place)


FOLDER = ""


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    global FOLDER  # noqa: PLW0603 (where the scripts of a test are)
    FOLDER = str(tmp_path)


def touch(tmp_path):
    """A program that makes a file, and a check that looks for it."""
    mark = str(tmp_path / "mark")
    make = python("import sys, pathlib\npathlib.Path(sys.argv[1]).touch()\nprint('made')", mark)
    check = python("import sys, pathlib\nsys.exit(not pathlib.Path(sys.argv[1]).exists())", mark)
    return mark, make, check


async def test_words_are_words(ctx):
    argv = python("import sys\nprint(sys.argv[1:])", "$HOME; rm -rf /", "*", "a b")
    out = await LOOK.perform(ctx[0], NOTHING, LookParams(argv=argv))
    assert (0, "['$HOME; rm -rf /', '*', 'a b']") == (out.exit_code, out.stdout.strip())
    assert [] == ctx[1]


async def test_only_variables_that_are_named_are_there(ctx, monkeypatch, tmp_path):
    monkeypatch.setenv("AMBIENT", "x")
    monkeypatch.setenv("WANTED", "y")
    argv = python("import os\nprint(sorted(k for k in os.environ if k != 'LC_CTYPE'), os.getcwd())")
    params = LookParams(argv=argv, env={"A": "1"}, inherit=["WANTED", "NOT_SET"], cwd=str(tmp_path))
    out = await LOOK.perform(ctx[0], NOTHING, params)
    assert f"['A', 'PATH', 'WANTED'] {tmp_path}" == out.stdout.strip()


async def test_a_secret_reaches_the_program_and_nothing_else(ctx):
    argv = python("import os, sys\nprint(os.environ['T'], sys.stdin.read(), sys.argv)")
    params = LookParams(argv=argv, secrets={"T": "env:T"}, stdin="env:S")
    out = await LOOK.perform(ctx[0], NOTHING, params)
    assert out.stdout.startswith("*** *** [")
    assert SECRET not in out.model_dump_json() + params.model_dump_json()
    failing = python("import os, sys\nsys.exit(os.environ['T'])")
    with pytest.raises(Rejected) as raised:
        await LOOK.perform(ctx[0], NOTHING, LookParams(argv=failing, secrets={"T": "env:T"}))
    assert "***" in str(raised.value)
    assert SECRET not in str(raised.value)
    with pytest.raises(AuthRejected):
        await LOOK.perform(ctx[0], NOTHING, LookParams(argv=failing, secrets={"T": "env:gone"}))


async def test_what_it_says_is_bounded_and_inert(ctx):
    argv = python("import sys\nsys.stdout.write('\\x1b[31m' + 'x' * 3_000_000)")
    out = await LOOK.perform(ctx[0], NOTHING, LookParams(argv=argv))
    assert out.truncated
    assert len(out.stdout) <= 4000
    assert "\x1b" not in out.stdout


@pytest.mark.parametrize(
    "argv",
    [
        [],
        [""],
        ["sh", "-c", "rm -rf /"],
        ["/bin/bash", "-lc", "x"],
        ["env", "sh"],
        ["a\0b"],
        "ls -l",
    ],
)
def test_a_shells_text_is_no_command(argv):
    with pytest.raises(ValidationError):
        CommandParams(argv=argv)


async def test_a_program_that_is_not_there_has_not_begun(ctx):
    with pytest.raises(NotFound):
        await RUN.perform(ctx[0], NOTHING, CommandParams(argv=["/nowhere/at/all"]))
    with pytest.raises(NotFound):
        await LOOK.perform(ctx[0], NOTHING, LookParams(argv=["true"], cwd="/nowhere"))


async def test_the_check_makes_it_once(ctx, tmp_path):
    mark, make, check = touch(tmp_path)
    params = CommandParams(argv=make, check=check)
    seen = await RUN.observe(ctx[0], NOTHING, params)
    assert isinstance(RUN.preview(seen, NOTHING, params), Change)
    assert isinstance(await RUN.settled(ctx[0], NOTHING, params), NotDone)
    assert [] == ctx[1], "a look asked for permission"

    first = await RUN.perform(ctx[0], NOTHING, params)
    again = await RUN.perform(ctx[0], NOTHING, params)

    assert (True, False) == (first.changed, again.changed)
    assert Path(mark).exists()  # noqa: ASYNC240 (a test)
    assert [1] == ctx[1]
    seen = await RUN.observe(ctx[0], NOTHING, params)
    assert isinstance(RUN.preview(seen, NOTHING, params), Nothing)
    assert isinstance(await RUN.settled(ctx[0], NOTHING, params), Done)


async def test_an_exit_code_alone_does_not_say_what_was_done(ctx, tmp_path):
    failing = python("import sys\nprint('disk full', file=sys.stderr)\nsys.exit(7)")
    with pytest.raises(OutcomeUnknown, match="ended with 7: disk full"):
        await RUN.perform(ctx[0], NOTHING, CommandParams(argv=failing))
    with pytest.raises(Rejected, match="changed nothing"):
        await RUN.perform(ctx[0], NOTHING, CommandParams(argv=failing, untouched=[7]))
    _mark, _make, check = touch(tmp_path)
    with pytest.raises(Rejected, match="has not happened"):
        await RUN.perform(ctx[0], NOTHING, CommandParams(argv=failing, check=check))
    assert isinstance(await RUN.settled(ctx[0], NOTHING, CommandParams(argv=failing)), CannotTell)
    out = await RUN.perform(ctx[0], NOTHING, CommandParams(argv=failing, exit_codes=[0, 7]))
    assert 7 == out.exit_code


async def test_at_the_deadline_nothing_of_it_is_left(ctx, tmp_path):
    """Its children neither: what was started in its session would act late."""
    late = tmp_path / "late"
    child = "import sys, time, pathlib; time.sleep(6); pathlib.Path(sys.argv[1]).touch()"
    code = (
        "import subprocess, sys, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, sys.argv[1]])\n"
        "time.sleep(60)\n"
    )
    short = dataclasses.replace(ctx[0], deadline=Deadline.after(CLOCK, timedelta(seconds=4)))
    began = time.monotonic()

    with pytest.raises(OutcomeUnknown, match="did not end in time and was killed"):
        await RUN.perform(short, NOTHING, CommandParams(argv=python(code, str(late))))

    assert time.monotonic() - began < 4.5
    await asyncio.sleep(6)
    assert not late.exists()


async def test_a_cancelled_one_is_ended_too(ctx, tmp_path):
    late = tmp_path / "late"
    code = f"import time, pathlib\ntime.sleep(2)\npathlib.Path({str(late)!r}).touch()"
    task = asyncio.create_task(RUN.perform(ctx[0], NOTHING, CommandParams(argv=python(code))))
    await asyncio.sleep(0.7)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(2)
    assert not late.exists()


async def test_what_has_no_way_back_runs_as_any_other_and_is_counted_as_the_end(ctx, tmp_path):
    """The same program; only what plan and engine make of it differs."""
    gone = tmp_path / "gone"
    gone.touch()
    argv = python("import os, sys\nos.remove(sys.argv[1])", str(gone))
    await Destroy().perform(ctx[0], NOTHING, CommandParams(argv=argv))
    assert not gone.exists()
    assert Destroy().effect.is_irreversible
    assert not Command().effect.is_irreversible
