"""
The files of `examples/ci/` do what they say: their own commands, in a shell, in a repository.

What is not run here is what is somebody else's: the actions, the installation, GitHub's `gh` (a
stand-in writes down how it was called). GitLab's comment goes to a server on this machine.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest
import yaml

import drctl

ROOT = Path(__file__).parent.parent.parent
CI = ROOT / "examples" / "ci"
GITHUB = yaml.safe_load((CI / "github.yaml").read_text())
GITLAB = yaml.safe_load((CI / "gitlab.yaml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
STEPS = GITHUB["jobs"]["plan"]["steps"]
pytestmark = pytest.mark.timeout(600)  # a dozen processes each; half a second on an idle machine
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""As GitHub's runner starts it."""


class Repository:
    """A team's repository, with `drctl` on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder / "repo", folder / "bin"
        self.bin.mkdir()
        source = Path(drctl.__file__).parent.parent
        self.program("drctl", f'exec "{sys.executable}" -m drctl "$@"')
        self.env = {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(source),
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "TMPDIR": str(folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **{f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        }  # fmt: skip
        for name in ("runbooks", "environments", "ci/inputs"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(CI / "plan-changed.sh", self.folder / "ci")
        self.add("region-failover")
        environment = ROOT / "tests" / "scenarios" / "environment.yaml"
        shutil.copy(environment, self.folder / "environments" / "prod.yaml")
        self.git("init", "-q", "-b", "main")
        self.base = self.commit()

    def add(self, name: str) -> None:
        shutil.copy(ROOT / "runbooks" / f"{name}.yaml", self.folder / "runbooks")
        (self.folder / "ci" / "inputs" / name).write_text("incident=inc-20260101-001\n")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=self.env, check=True, capture_output=True,
            text=True,
        ).stdout.strip()  # fmt: skip

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def edit(self, name: str, *changes: tuple[str, str]) -> None:
        path = self.folder / name
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def shell(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BASH, "-c", command], cwd=self.folder, env=self.env | more, capture_output=True,
            text=True, check=False, timeout=400,
        )  # fmt: skip

    def file(self, name: str) -> str:
        return (self.folder / "out" / name).read_text()


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def step(name):
    [found] = [one for one in STEPS if one.get("name") == name]
    return found


def on_github(repository):
    """Runs the steps of the job in their order, as their conditions say."""
    event = {
        "github.event.pull_request.base.sha": repository.base,
        "github.event.pull_request.number": "7",
        "github.token": "t",
        "github.repository": "team/repo",
    }
    page = repository.folder.parent / "page.md"
    common = {"GITHUB_STEP_SUMMARY": str(page), "GITHUB_WORKSPACE": str(repository.folder)}
    done = {}
    for one in STEPS:
        if "run" not in one or one["name"] == "Install drctl":
            continue
        needed = re.findall(r"hashFiles\('([^']+)'\)", one.get("if", ""))
        if not all((repository.folder / path).exists() for path in needed):
            continue
        env = {
            name: event[value.strip("${} ")] if "${{" in value else value
            for name, value in one.get("env", {}).items()
        }
        done[one["name"]] = repository.shell(one["run"], **common, **env)
    return done, page.read_text() if page.exists() else ""


PLAN, COMMENT = "Plan what changed", "Comment what it changes about the recovery"


def test_a_pull_request_that_makes_a_recovery_weaker(repository):
    repository.program("gh", 'printf "%s\\n" "$@" > "$HOME/gh"; cat "$7" > "$HOME/body"')
    repository.edit("runbooks/region-failover.yaml", ("[incident-commander]", "[anybody]"))
    repository.commit()
    done, page = on_github(repository)
    assert done[PLAN].returncode == 0, done[PLAN].stderr
    assert done[PLAN].stderr == ""
    called = (repository.folder.parent / "gh").read_text().split("\n")
    assert called[:3] == ["pr", "comment", "7"]
    body = (repository.folder.parent / "body").read_text()
    assert "also anybody may say go" in body
    assert body == repository.file("comment.md")
    assert "fits the RTO" in page
    assert "app-rollback" not in page, "what is not changed is not planned"
    cases = ET.fromstring(repository.file("plan-region-failover.xml")).iter("testcase")  # noqa: S314
    assert not [case for case in cases if case.find("failure") is not None]
    assert json.loads(repository.file("drctl.sarif"))["version"] == "2.1.0"
    assert repository.git("worktree", "list").count("\n") == 0, "it cleans up"


def test_a_pull_request_that_breaks_a_runbook(repository):
    repository.edit("runbooks/region-failover.yaml", ("uses: aws.rds.fence", "uses: aws.rds.fense"))
    repository.commit()
    done, page = on_github(repository)
    assert done[PLAN].returncode == 3
    assert "::error file=runbooks/region-failover.yaml,line=" in done[PLAN].stdout
    assert done[PLAN].stdout.count("::error ") == 1, "once, not again for its plan"
    assert COMMENT not in done, "there is no plan to compare"
    assert page.startswith("## ❌")
    [run] = json.loads(repository.file("drctl.sarif"))["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "runbooks/region-failover.yaml"}


def test_what_includes_a_changed_runbook_is_planned_too(repository):
    repository.add("post-recovery-validation")
    repository.add("app-rollback")
    repository.base = repository.commit()
    repository.edit("runbooks/post-recovery-validation.yaml", ("title: ", "title: Now "))
    repository.commit()
    done, _page = on_github(repository)
    assert done[PLAN].returncode in {0, 3}, done[PLAN].stdout
    planned = json.loads(repository.file("drctl.sarif")), repository.file("validate.xml")
    assert "runbooks/app-rollback.yaml" in planned[1]
    assert "runbooks/region-failover.yaml" not in planned[1]


def test_a_pull_request_that_makes_it_too_slow(repository):
    repository.program("gh", "true")
    slow = (("estimate: 4m", "estimate: 40m"), ("timeout: 6m", "timeout: 60m"))
    repository.edit("runbooks/region-failover.yaml", *slow)
    repository.commit()
    done, _page = on_github(repository)
    assert done[PLAN].returncode == 8
    assert "misses the RTO" in done[PLAN].stdout
    assert "it did not before" in repository.file("comment.md")


def test_a_pull_request_about_something_else(repository):
    (repository.folder / "README").write_text("x")
    repository.commit()
    done, page = on_github(repository)
    assert (done[PLAN].returncode, page) == (0, "")
    assert COMMENT not in done


def test_a_recovery_that_is_gone_and_a_file_that_nobody_reads_are_told(repository):
    folder = repository.folder / "runbooks"
    (folder / "region-failover.yaml").unlink()
    (folder / "sub").mkdir()
    (folder / "sub" / "x.yaml").write_text("broken: [")
    (folder / "y.yml").write_text("broken: [")
    repository.commit()
    done, _page = on_github(repository)
    assert done[PLAN].returncode == 0, done[PLAN].stderr
    assert "::warning::❌ a recovery is gone: runbooks/region-failover.yaml" in done[PLAN].stdout
    comment = repository.file("comment.md")
    assert "a recovery is gone" in comment
    assert ("runbooks/sub/x.yaml" in comment, "runbooks/y.yml" in comment) == (True, True)


def test_another_environment_plans_every_runbook(repository):
    repository.edit("environments/prod.yaml", ("protected: false", "protected: true"))
    repository.commit()
    done = repository.shell(f"ci/plan-changed.sh {repository.base} environments/prod.yaml out")
    assert done.returncode in {0, 3}, done.stderr
    assert "region-failover.yaml" in repository.file("validate.xml")


def test_names_of_files_are_no_commands(repository):
    """Of a pull request that anybody may open."""
    text = (repository.folder / "runbooks" / "region-failover.yaml").read_text()
    names = ("$(touch owned); -o json.yaml", "x\n::error::y.yaml")
    for name in names:
        (repository.folder / "runbooks" / name).write_text(text.replace("rto: 15m", "rto: 1m"))
    repository.commit()
    done, _page = on_github(repository)
    assert done[PLAN].returncode in {3, 8}, done[PLAN].stderr
    assert not (repository.folder / "owned").exists()
    assert not any(line.startswith("::error::y") for line in done[PLAN].stdout.splitlines())
    assert done[PLAN].stderr == ""


def test_every_action_is_pinned_and_no_expression_is_in_a_script():
    for one in STEPS:
        if "uses" in one:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one["uses"])
        assert "${{" not in one.get("run", ""), "a branch's name would be a command"
    assert GITHUB["permissions"] == {}
    assert step("Install drctl")["run"] == f"python -m pip install drctl=={drctl.__version__}"
    assert GITLAB["recovery-plan"]["before_script"] == [step("Install drctl")["run"]]


class Gitlab:
    """Writes down what it is sent."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str]] = []
        notes = self.notes

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                token = self.headers["PRIVATE-TOKEN"]
                notes.append((self.path, token, parse_qs(body)["body"][0]))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def gitlab():
    made = Gitlab()
    yield made
    made.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="GitLab's image has curl; here is none")
def test_a_merge_request_on_gitlab(repository, gitlab):
    repository.edit("runbooks/region-failover.yaml", ("[incident-commander]", "[anybody]"))
    repository.commit()
    port = gitlab.server.server_address[1]
    env = {
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": repository.base,
        "CI_API_V4_URL": f"http://127.0.0.1:{port}/api/v4",
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "9",
        "CI_PROJECT_DIR": str(repository.folder),
        "RECOVERY_COMMENT_TOKEN": "secret-token",
        "no_proxy": "127.0.0.1",
    }
    job = GITLAB["recovery-plan"]
    for name in ("script", "after_script"):
        for command in job[name]:
            done = repository.shell(command, **env)
            assert done.returncode == 0, done.stderr
            assert "secret-token" not in done.stdout + done.stderr
    [(path, token, note)] = gitlab.notes
    assert path == "/api/v4/projects/3/merge_requests/9/notes"
    assert (token, note) == ("secret-token", repository.file("comment.md"))
    found = list(repository.folder.glob(job["artifacts"]["reports"]["junit"]))
    assert {"validate.xml", "plan-region-failover.xml"} == {path.name for path in found}
    for path in found:
        assert ET.parse(path).getroot().tag == "testsuites"  # noqa: S314 (we wrote it)
    without = repository.shell(job["after_script"][0], **(env | {"RECOVERY_COMMENT_TOKEN": ""}))
    assert (without.returncode, len(gitlab.notes)) == (0, 1)


def staged(repository, hook):
    """The files that pre-commit would give to a hook: staged, and of its pattern and type."""
    names = repository.git("diff", "--cached", "--name-only", "--diff-filter=ACMRTUXB").split("\n")
    suffixes = {"yaml": (".yaml", ".yml")}
    wanted = tuple(end for kind in hook["types"] for end in suffixes[kind])
    return [name for name in names if re.search(hook["files"], name) and name.endswith(wanted)]


def test_the_hook_stops_a_commit_of_a_broken_runbook(repository):
    [hook] = HOOKS
    assert yaml.safe_load((CI / "pre-commit.yaml").read_text())["repos"][0]["hooks"] == [
        {"id": hook["id"]}
    ]
    (repository.folder / "notes.yaml").write_text("not a runbook")
    (repository.folder / "runbooks" / "README.md").write_text("not YAML")
    repository.edit("runbooks/region-failover.yaml", ("estimate: 3s", "estimate: 4s"))
    repository.git("add", "-A")
    assert staged(repository, hook) == ["runbooks/region-failover.yaml"]
    command = f'{hook["entry"]} "$@"'

    def commit():
        return subprocess.run(
            [*BASH, "-c", command, "hook", *staged(repository, hook)], cwd=repository.folder,
            env=repository.env, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert commit().returncode == 0
    repository.edit("runbooks/region-failover.yaml", ("uses: aws.rds.fence", "uses: aws.rds.fense"))
    repository.git("add", "-A")
    refused = commit()
    assert refused.returncode == 3
    assert 'did you mean "aws.rds.fence"' in refused.stderr


def test_the_hook_is_seen_where_pre_commit_looks():
    """It reads the file at the root of the repository, and every key that it must have."""
    [hook] = HOOKS
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert os.path.commonpath([ROOT]) == str(ROOT)


def test_no_file_names_a_host_of_packages():
    for path in (*CI.iterdir(), ROOT / ".pre-commit-hooks.yaml"):
        assert not re.search(r"https?://(?!git\.example\.com)", path.read_text()), path
