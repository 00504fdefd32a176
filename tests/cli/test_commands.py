"""The command line: help, exit codes, errors in five parts, data apart from talk."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from large_runbook import runbook as ten_steps
from typer.testing import CliRunner

from drctl.cli.execute import exit_code
from drctl.cli.exit import Exit, errors_shown
from drctl.cli.main import app
from drctl.engine.events import RunFinished
from drctl.kernel import errors

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "scenarios" / "environment.yaml"
RUNBOOK = ROOT / "runbooks" / "region-failover.yaml"
INCLUDING = ROOT / "tests" / "scenarios" / "app_rollback" / "runbook.yaml"
HEAVY = (
    "boto3",
    "botocore",
    "kubernetes",
    "asyncpg",
    "httpx",
    "jinja2",
    "pydantic",
    "rich",
    "yaml",
)


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRCTL_LAB_NET", "210")
    monkeypatch.delenv("DRCTL_DEBUG", raising=False)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert code == result.exit_code, (arguments, result.output)
        assert "Traceback" not in result.output
        return result

    return run


def commands(command=None, path=()):
    command = command or typer.main.get_command(app)
    yield path
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_says_what_it_does(drctl, path):
    shown = drctl(*path, "--help").output
    assert "Usage:" in shown
    assert len(shown.splitlines()) > 3
    assert "\x1b" not in shown


def test_help_imports_nothing_heavy():
    """A quiet start is what a person has at 3 a.m.; each of these costs 30 to 200 ms."""
    program = (
        "import sys\n"
        "from drctl.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True
    )
    assert "Usage:" in done.stdout
    assert done.stderr.strip() == "[]"


def loaded_by(*words):
    """Which modules are there when a command has ended well."""
    program = (
        "import sys\n"
        "from drctl.cli.main import app\n"
        f"try: app({[str(word) for word in words]!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True
    )
    return set(done.stderr.split())


def test_a_command_imports_no_other_command():
    """All sixty with their flags take as long as everything else that a short command does."""
    made = {name for name in loaded_by("validate", RUNBOOK) if name.startswith("drctl.cli.")}
    more = {"beside", "brief", "codes", "complete", "exit", "main", "output", "reports", "validate"}
    assert made - {f"drctl.cli.{name}" for name in more} == set()


@pytest.mark.parametrize("runbook", [RUNBOOK, INCLUDING], ids=lambda path: path.stem)
def test_validate_imports_only_what_it_needs(runbook):
    """It talks to nobody; each of these costs 10 ms or more, all actions 100."""
    made = loaded_by("validate", runbook)
    assert {"httpx", "rich", "boto3", "drctl.lab"} & made == set()
    assert "drctl.adapters.http.probe" in made
    others = ("drctl.adapters.gcp.", "drctl.adapters.patroni.")
    assert [name for name in made if name.startswith(others)] == []


def test_a_plan_without_a_look_imports_only_what_it_needs(tmp_path):
    """Where nothing was recorded there is no journal to read, and off a terminal no colour."""
    environment = ROOT / "tests" / "scenarios" / "environment.yaml"
    file = tmp_path / "ten.yaml"
    file.write_text(ten_steps(10))
    made = loaded_by("plan", file, "-e", environment, "--offline")
    assert {"httpx", "rich", "boto3", "drctl.journal", "drctl.engine.events"} & made == set()
    assert {"drctl.adapters.aws.identity", "drctl.adapters.http.probe"} <= made
    assert {"drctl.adapters.aws.record", "drctl.adapters.http.sample"} & made == set()


@pytest.mark.parametrize(
    ("result", "more", "code"),
    [
        ("succeeded", {}, 0),
        ("succeeded", {"rta_s": 901.0}, 8),
        ("succeeded", {"rta_s": 900.0}, 0),
        ("succeeded", {"loss_bound_s": 300.1}, 8),
        ("failed", {"rta_s": 901.0}, 6),
        ("paused", {}, 7),
        ("refused", {}, 5),
        ("unknown", {}, 10),
        ("interrupted", {}, 130),
        ("interrupted", {"signal": "SIGINT"}, 130),
        ("interrupted", {"signal": "SIGTERM"}, 143),
    ],
)
def test_the_end_of_a_run_has_its_exit_code(result, more, code):
    base = {
        "result": result, "why": "", "changed": True, "rta_s": 10.0, "rto_s": 900.0,
        "loss_bound_s": 1.0, "safe_until": None, "rpo_s": 300.0,
    }  # fmt: skip
    assert code == exit_code(RunFinished(**(base | more)))


PROBLEM = errors.Problem(
    code="DR2114", what="what\x1b[2J", at="where", why="why\x9b", now="now", do="do"
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidError((PROBLEM,)), 3),
        (errors.CredentialsError((PROBLEM,)), 4),
        (errors.RefusedError((PROBLEM,)), 5),
        (errors.BrokenOffError((PROBLEM,), is_known=True), 6),
        (errors.JournalError((PROBLEM,)), 9),
        (errors.BrokenOffError((PROBLEM,), is_known=False), 10),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oops\x1b"), 1),
    ],
)
def test_an_error_has_its_exit_code_and_no_traceback(capsys, monkeypatch, error, code):
    monkeypatch.delenv("DRCTL_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as caught, errors_shown():
        raise error
    assert code == caught.value.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "\x1b" not in shown.err
    assert "\x9b" not in shown.err


def test_an_error_comes_in_five_parts(capsys):
    with pytest.raises(typer.Exit), errors_shown():
        raise errors.RefusedError((PROBLEM,))
    assert capsys.readouterr().err == (
        "error DR2114: what\\x1b[2J\n  at   where\n  why  why\\x9b\n  now  now\n  do   do\n"
    )


def test_several_errors_are_numbered_and_counted(capsys):
    with pytest.raises(typer.Exit), errors_shown():
        raise errors.InvalidError((errors.Problem(code="DR1", what="a"),) * 2)
    assert capsys.readouterr().err == "1. error DR1: a\n2. error DR1: a\n2 problems\n"


def test_every_code_has_an_explanation():
    from drctl.cli.codes import CODES

    assert all(text.strip() for text in CODES.values())
    assert {int(exit_) for exit_ in Exit} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130, 141, 143}


REFUSALS = [
    (("validate", "nowhere.yaml"), 3, "DR1092"),
    (("validate", "region-failover"), 3, "name its file"),
    (("plan", "nowhere", "-e", MODEL), 3, "DR1091"),
    (("plan", RUNBOOK, "-e", "nowhere"), 3, "DR5001"),
    (("plan", RUNBOOK, "-e", MODEL, "--offline"), 3, "incident"),
    (("plan", RUNBOOK), 2, "--env"),
    (("plan", RUNBOOK, "-e", MODEL, "-i", "incident"), 2, "name=value"),
    (("plan", RUNBOOK, "-e", MODEL, "-i", "a=1", "-i", "a=2"), 2, "twice"),
    (("run", RUNBOOK), 2, "which environment"),
    (("run", "plan.json"), 3, "DR3203"),
    (("run", "plan.json", "-e", "lab"), 2, "leave -e"),
    (("run", RUNBOOK, "-e", MODEL, "--accept-data-loss", "10m"), 2, "--reason"),
    (("run", RUNBOOK, "-e", MODEL, "--accept-data-loss", "10", "--reason", "x"), 2, "duration"),
    (("run", RUNBOOK, "-e", MODEL, "--started-at", "2026-01-01T10:00:00"), 2, "offset"),
    (("run", RUNBOOK, "-e", MODEL, "--started-at", "noon"), 2, "started-at"),
    (("failover", "region", "-e", "lab"), 3, "no lab is running"),
    (("runs", "show", "latest"), 3, "DR4004"),
    (("runs", "verify", "nope"), 3, "DR4004"),
    (("approve", "latest", "go"), 3, "DR4004"),
    (("deny", "latest", "go"), 2, "--reason"),
    (("explain", "DR0"), 2, "DR9404"),
    (("action", "show", "nope"), 3, "DR1050"),
    (("env", "show", "nope"), 3, "DR5001"),
    (("nope",), 2, "nope"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), REFUSALS, ids=lambda value: str(value)[:40]
)
def test_a_mistake_has_its_exit_code_and_its_words(drctl, arguments, code, words):
    result = drctl(*arguments, code=code)
    assert words in result.output
    assert result.stdout == ""


JSON = [
    ("version", "-o", "json"),
    ("runs", "list", "-o", "json"),
    ("action", "list", "-o", "json"),
    ("action", "show", "http.probe"),
    ("runbook", "list", "-o", "json"),
    ("runbook", "schema"),
    ("env", "list", "-o", "json"),
    ("env", "show", MODEL, "-o", "json"),
    ("validate", RUNBOOK, "-o", "json"),
]
PLAN = ("plan", RUNBOOK, "-e", MODEL, "-i", "incident=inc-20260101-001", "--offline")


@pytest.mark.parametrize(
    "arguments", [*JSON, (*PLAN, "-o", "json")], ids=lambda a: " ".join(map(str, a))[:40]
)
def test_json_is_one_document(drctl, arguments):
    document = json.loads(drctl(*arguments).stdout)
    assert document
    assert arguments[0] != "env" or "SECRET" not in str(document)


def test_problems_are_in_the_document_too(drctl, tmp_path):
    (tmp_path / "bad.yaml").write_text("apiVersion: drctl/v1\nkind: Runbok\n")
    document = json.loads(drctl("validate", "bad.yaml", "-o", "json", code=3).stdout)
    assert document["valid"] is False
    assert {"code", "what", "file", "line", "column", "do"} <= document["problems"][0].keys()


def test_a_plan_is_plain_off_a_terminal_and_whole(drctl, monkeypatch):
    shown = drctl(*PLAN).stdout
    assert "\x1b" not in shown
    assert "promote" in shown
    assert "planned offline" in shown
    monkeypatch.setenv("COLUMNS", "40")
    assert "\x1b" not in drctl(*PLAN).stdout


def test_colour_is_given_when_it_is_asked_for_and_not_with_no_color(drctl, monkeypatch):
    assert "\x1b[" in drctl(*PLAN, "--color", "always").stdout
    assert "\x1b[" not in drctl(*PLAN, "--color", "never").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in drctl(*PLAN).stdout


def test_a_plan_that_was_made_offline_is_saved_and_does_not_run(drctl, monkeypatch):
    from drctl.plan.make import Planner

    async def silent(self, plan):
        return plan

    monkeypatch.setattr(Planner, "look", silent)
    saved = drctl(*PLAN, "--out", "plan.json")
    assert "never run" in saved.stderr
    assert "drctl run" not in saved.stderr
    assert "DR3202" in drctl("run", "plan.json", code=5).output
    text = Path("plan.json").read_text()
    Path("plan.json").write_text(text.replace("us-west-2", "us-west-1"))
    assert "DR3204" in drctl("run", "plan.json", code=3).output


def test_a_plan_that_cannot_be_saved_is_no_bug_of_ours(drctl):
    drctl(*PLAN, "--out", "/nowhere/plan.json", code=2)


@pytest.mark.parametrize("typed", [None, "prod", "model "])
def test_a_protected_environment_asks_for_its_name(drctl, monkeypatch, tmp_path, typed):
    """And starts nothing without it."""
    from drctl.app import running
    from drctl.plan.make import Planner

    async def looked(self, plan):
        return plan.model_copy(update={"is_offline": False, "pins": ()}).sealed()

    started = []

    async def run_plan(*_args):
        started.append(1)
        raise errors.RefusedError((PROBLEM,))

    monkeypatch.setattr(Planner, "look", looked)
    monkeypatch.setattr(running, "run_plan", run_plan)
    safe = tmp_path / "prod.yaml"
    safe.write_text(MODEL.read_text().replace("protected: false", "protected: true"))
    given = ("run", RUNBOOK, "-e", safe, "-i", "incident=inc-20260101-001", "--no-input")
    confirm = ("--confirm", typed) if typed else ()
    assert "DR3102" in drctl(*given, *confirm, code=5).output
    assert started == []
    drctl(*given, "--confirm", "model", code=5)
    assert started == [1]


def test_a_start_that_has_not_come_is_refused(drctl, monkeypatch):
    from drctl.plan.make import Planner

    async def looked(self, plan):
        return plan.model_copy(update={"is_offline": False, "pins": ()}).sealed()

    monkeypatch.setattr(Planner, "look", looked)
    given = ("run", RUNBOOK, "-e", MODEL, "-i", "incident=inc-20260101-001")
    result = drctl(*given, "--started-at", "2999-01-01T00:00:00Z", code=2)
    assert "has not come" in result.output


def test_consent_to_a_number_is_never_consent_to_anything():
    from drctl.cli.execute import consent
    from drctl.engine.fold import ANY_LOSS_S

    assert consent("unknown", "why", None).accepted_loss_s == ANY_LOSS_S
    assert consent("999999998d", "why", None).accepted_loss_s < ANY_LOSS_S
    assert consent("10m", "why", None).accepted_loss_s == 600


def test_a_reader_who_goes_away_is_no_bug():
    """As in ``drctl action list | head -1``; the pipe is full before its reader has gone."""
    command = f"{sys.executable} -m drctl explain coverage | {sys.executable} -c pass"
    shell = ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"]
    for _ in range(3):
        done = subprocess.run(shell, capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == ""
        assert done.stdout.strip() in {"141", "0"}


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_page_of_a_runbook_leaves_nothing_of_it_out(drctl, path):
    """What includes another shows its steps too, and says who waits for whom."""
    page = drctl("runbook", "show", path).stdout
    document = json.loads(drctl("runbook", "show", path, "-o", "json").stdout)["runbook"]
    for step in (*document["steps"], *document.get("finally", ())):
        assert f"| {step['id']} |" in page or f" {step['id']}." in page, step["id"]
        if "uses" in step and step["uses"] != "runbook.run":
            assert f"`{step['uses']}`" in page
    for gate in document["gates"].values() if "gates" in document else ():
        assert gate["title"] in page
    for name in (*document.get("inputs", ()), *document["targets"].values()):
        assert f"`{name}`" in page
    assert drctl("runbook", "show", path, "--source").stdout == path.read_text()


def test_a_full_disk_is_not_called_a_bug():
    """What was to be printed is lost; who reads the error must know that drctl is well."""
    words = [sys.executable, "-m", "drctl", "explain", "rules"]
    # As in a shell, where it is written at the end: then also the interpreter tries once more.
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:  # noqa: PTH123 (a device, where every write fails)
        done = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, check=False, text=True, env=variables
        )
    assert done.returncode == 1
    assert "Exception ignored" not in done.stderr
    assert "DR9002" in done.stderr
    assert "No space left" in done.stderr


def test_a_stream_that_came_closed_is_nowhere_and_takes_no_file_s_number():
    """As in `drctl … >&-`: the next file to be opened would be what is printed into."""
    show = "import os; from drctl.cli.main import main; main()"
    for closed in ("0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"):
        line = ["sh", "-c", f'"$0" -c "$1" explain rules {closed}', sys.executable, show]
        done = subprocess.run(line, capture_output=True, check=False, text=True)
        assert (done.returncode, done.stderr) == (0, ""), closed
    hold = (
        "import os, sys; from drctl.cli import main; main._nowhere_for_closed();"
        "print(os.readlink('/proc/self/fd/1'), file=sys.stderr)"
    )
    line = ["sh", "-c", '"$0" -c "$1" >&-', sys.executable, hold]
    done = subprocess.run(line, capture_output=True, check=True, text=True)
    assert done.stderr.strip() == os.devnull


def test_a_loop_of_links_and_a_name_too_long_are_files_that_are_not_there(drctl, tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert "DR1092" in drctl("validate", "loop.yaml", "-o", "github", code=3).stdout
    assert "DR1091" in drctl("plan", "a" * 5000, "-e", MODEL, code=3).output


def test_a_file_that_is_not_utf_8_is_refused_at_its_place(drctl, tmp_path):
    """A character that is put in the stead of another would be run unseen."""
    shipped = (ROOT / "runbooks" / "region-failover.yaml").read_text()
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(shipped.replace("title: ", "title: caf\xe9 ", 1).encode("latin-1", "replace"))
    said = drctl("validate", odd, code=3)
    assert "DR1001: this is not UTF-8" in said.output
    assert re.search(r"odd\.yaml:\d+:\d+", said.output)


def test_a_problem_of_a_file_that_others_include_is_told_once(drctl, tmp_path):
    inner = (
        "apiVersion: drctl/v1\nkind: Runbook\n"
        "metadata: {name: inner, title: Inner, owner: t, scenario: x}\n"
        "objectives: {rto: 15m, rpo: 5m, clock: {starts_at: run, stops_after: [a]}}\n"
        "targets: {app: app.recovery}\n"
        "steps: [{id: a, uses: http.prob, target: app, timeout: 1m}]\n"
    )
    outer = inner.replace("inner", "outer").replace(
        "steps: [{id: a, uses: http.prob, target: app, timeout: 1m}]",
        "steps: [{id: a, uses: runbook.run, with: {runbook: inner, targets: {app: app}}}]",
    )
    (tmp_path / "inner.yaml").write_text(inner)
    (tmp_path / "outer.yaml").write_text(outer)
    said = drctl("validate", tmp_path / "outer.yaml", tmp_path / "inner.yaml", code=3)
    assert said.output.count("DR1050") == 1
