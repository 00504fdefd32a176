"""A program on a machine: every word arrives, nothing secret travels, and what failed is named."""

import asyncio
import contextlib
import json
import sys
from datetime import timedelta

import pytest

from drctl.actions.contract import Context, NotPermittedError
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import HostConnection
from drctl.adapters import _host
from drctl.kernel.clock import Deadline, SystemClock
from drctl.lab import host as host_program

CLOCK = SystemClock()


def context(within_s: float = 10.0, **more) -> Context:
    deadline = Deadline.after(CLOCK, timedelta(seconds=within_s))
    return Context(clock=CLOCK, deadline=deadline, secrets=None, **more)


def machine(*argv: str) -> HostConnection:
    return HostConnection(argv=argv or ("sh", "-c"), region="here")


def says(code: int, text: str) -> HostConnection:
    """A machine whose door says something, as ssh does, and runs nothing."""
    script = f"import sys; sys.stderr.write({text!r}); sys.exit({code})"
    return machine(sys.executable, "-c", script)


async def test_every_word_arrives_as_it_was_given():
    """The remote shell reads it once more: blanks, quotes, dollars and semicolons stay words."""
    words = ["a b", "$HOME", "`id`", "; touch /tmp/never", "'", '"', "*", "é", ""]
    ran = await _host.run(context(), machine(), ["printf", "[%s]", *words])
    assert ran.out == "".join(f"[{word}]" for word in words)


async def test_the_labs_way_in_joins_words_as_ssh_does(tmp_path):
    """So that a missing quote fails in the lab, and not first in production."""
    (tmp_path / "machines" / "db1").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "machines", tmp_path / "machines" / "db1"):
        folder.chmod(0o755)
    door = machine(sys.executable, "-I", host_program.__file__, "--root", str(tmp_path), "db1")
    assert (await _host.run(context(), door, ["printf", "%s|", "a b", "$x"])).out == "a b|$x|"
    (tmp_path / "machines" / "db1" / "down").touch()
    with pytest.raises(Unavailable, match="Connection refused"):
        await _host.run(context(), door, ["true"])


async def test_the_labs_way_in_writes_down_who_changes_something(tmp_path):
    (tmp_path / "machines" / "db1").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "machines", tmp_path / "machines" / "db1"):
        folder.chmod(0o777)
    (tmp_path / "wire").touch()
    door = machine(sys.executable, "-I", host_program.__file__, "--root", str(tmp_path), "db1")
    lock, permitted = str(tmp_path / "lock"), {"permit": lambda: None}
    await _host.run(context(), door, ["ls", "/"])
    with contextlib.suppress(Rejected):  # of root's folder nobody may have the lock
        await _host.run(context(**permitted), door, ["touch", str(tmp_path / "f")], lock=lock)
    wire = [json.loads(line) for line in (tmp_path / "wire").read_text().splitlines()]
    assert [(line["request"].split()[0], line["mutates"]) for line in wire] == [
        ("ls", False),
        ("flock", True),
    ]


async def test_only_what_changes_something_needs_permission_and_takes_the_lock(tmp_path):
    lock = str(tmp_path / "lock")
    assert (await _host.run(context(), machine(), ["echo", "x"])).out == "x\n"
    with pytest.raises(NotPermittedError):
        await _host.run(context(), machine(), ["touch", str(tmp_path / "f")], lock=lock)
    assert not (tmp_path / "f").exists()
    permitted = {"permit": lambda: None}
    await _host.run(context(**permitted), machine(), ["touch", str(tmp_path / "f")], lock=lock)
    assert (tmp_path / "f").exists()


async def test_a_second_program_is_refused_for_as_long_as_the_first_lives(tmp_path):
    """Also when nobody waits for the first any more: it goes on, and its outcome is unknown."""
    lock, permitted = str(tmp_path / "lock"), {"permit": lambda: None}
    # The door lets the program go on when it is shut, as a lost connection does.
    door = machine(
        sys.executable, "-c",
        "import subprocess, sys; sys.exit(subprocess.Popen(['sh', '-c', sys.argv[1]],"
        " start_new_session=True).wait())",
    )  # fmt: skip
    with pytest.raises(OutcomeUnknown, match="no end within"):
        await _host.run(context(4.0, **permitted), door, ["sleep", "10"], lock=lock)
    with pytest.raises(Conflict, match="another program is at work"):
        await _host.run(context(**permitted), machine(), ["true"], lock=lock)
    async with asyncio.timeout(30):
        while True:
            try:
                await _host.run(context(**permitted), machine(), ["true"], lock=lock)
                break
            except Conflict:
                await asyncio.sleep(0.2)


async def test_a_program_that_only_reads_and_hangs_did_nothing():
    with pytest.raises(Unavailable, match="no end within"):
        await _host.run(context(1.0), machine(), ["sleep", "30"])


@pytest.mark.parametrize(
    ("text", "reading", "changing"),
    [
        ("ssh: connect to host db1 port 22: Connection refused", Unavailable, Unavailable),
        ("ssh: Could not resolve hostname db1", Unavailable, Unavailable),
        ("postgres@db1: Permission denied (publickey).", AuthRejected, AuthRejected),
        ("Host key verification failed.", AuthRejected, AuthRejected),
        ("Connection to db1 closed by remote host.", Unavailable, OutcomeUnknown),
    ],
)
async def test_what_ssh_says_tells_whether_anything_ran(tmp_path, text, reading, changing):
    with pytest.raises(reading):
        await _host.run(context(), says(255, text), ["true"])
    permitted = context(permit=lambda: None)
    with pytest.raises(changing):
        await _host.run(permitted, says(255, text), ["true"], lock=str(tmp_path / "lock"))


async def test_a_program_that_fails_is_quoted_and_one_that_is_missing_is_not_found():
    with pytest.raises(Rejected, match=r"ls failed: .*nowhere"):
        await _host.run(context(), machine(), ["ls", "/nowhere"])
    assert (await _host.run(context(), machine(), ["ls", "/nowhere"], may_fail=True)).code != 0
    with pytest.raises(NotFound):
        await _host.run(context(), machine(), ["no-such-program"])
    with pytest.raises(Unavailable, match="cannot be run here"):
        await _host.run(context(), machine("/no/such/door"), ["true"])


async def test_output_is_bounded_and_its_end_is_kept():
    ran = await _host.run(context(), machine(), ["sh", "-c", "seq 1 200000"])
    assert len(ran.out) <= _host.KEPT_BYTES
    assert ran.out.endswith("200000\n")


async def test_nothing_of_the_callers_environment_comes_along(monkeypatch):
    """No agent, no token: the key is named in the connection's own words."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("PGPASSWORD", "secret")
    ran = await _host.run(context(), machine(), ["env"])
    assert "SSH_AUTH_SOCK" not in ran.out
    assert "secret" not in ran.out


async def test_what_is_given_arrives_on_its_standard_input():
    ran = await _host.run(context(), machine(), ["cat"], given="line\n'quoted'\n")
    assert ran.out == "line\n'quoted'\n"
