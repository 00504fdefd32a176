"""
No write, effect, wait, lock or rename escapes the crash suite: each has a failpoint, and each
failpoint is passed by the suite.
"""

import ast
from pathlib import Path

import pytest
from crash_cases import RUNBOOKS, hits

import drctl
from drctl.kernel.failpoints import POINTS

SOURCE = Path(drctl.__file__).parent
ROOMS = ("journal", "engine", "app")

CALLS = {
    "write", "pwrite", "writev", "fsync", "fdatasync", "rename", "replace_file", "link", "unlink",
    "truncate", "ftruncate", "posix_fallocate", "flock", "lockf", "mkdir", "rmdir", "symlink",
    "write_text", "write_bytes", "touch",
    "perform", "settled", "undo_of", "sleep", "wait", "wait_for",
    # What a lease's cell is asked to do.
    "put_if", "swap", "create_if_absent", "compare_and_set",
}  # fmt: skip
"""Names of calls at which the state of the run or of the world changes hands, or time passes."""

EXCUSED = {
    # function: why no failpoint is needed in it
    "app/leasing.py:read_book": "a command that looks; it writes nothing",
    "app/leasing.py:break_lease": "it waits and looks; its write has the points of Access.put",
    "app/leasing.py:_ended": "ends a task of ours; nothing is written or sent by waiting for it",
    "app/answering.py:was_heard": "a command that waits to be heard; what it left is in the inbox",
    "app/ordering.py:_leave": "a command that waits to be heard; what it left is in the inbox",
    "app/running.py:_listen": "looks whether people said something; taking it has its point",
    "app/authoring.py:_write": "a person's new runbook; no run knows it",
    "app/signing.py:make_key": "a person's new key; no run knows it",
    "app/running.py:_tick": "shows the time to a view; nothing is written or sent",
}
NOT_PASSED = {
    "folder.give_up": "only after a disk that refused: see test_syscalls.py",
    "journal.before_cut": "only after a torn line: see test_a_cut_line",
    "journal.after_cut": "only after a torn line: see test_a_cut_line",
    "lease.watch": "only while an earlier process of the run may live: make leases",
    "lock.look": "only by commands that look at a run",
    "effect.settle": "only in a resume or after a lost reply: passed by seeds 1 to 3",
    "effect.look_again": "only while a read-back cannot tell: passed by late estates",
    "effect.identity": "the model environment pins nothing",
    "step.poll": "the model's probes are right at once",
}


def functions(tree: ast.AST, path: str):
    """Each function with its own statements, not those of functions in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{node.name}", node


def calls(function: ast.AST):
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield node


def name_of(call: ast.Call) -> str:
    target = call.func
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def owner_of(call: ast.Call) -> str:
    target = call.func
    inner = target.value if isinstance(target, ast.Attribute) else None
    return inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")


def is_place(call: ast.Call) -> bool:
    name, owner = name_of(call), owner_of(call)
    if not isinstance(call.func, ast.Attribute):
        return False  # a function of ours, which has its own; see test_nothing_is_imported_bare
    if name in {"rename", "replace", "unlink"} and owner == "os":
        return True
    if name == "replace":  # dataclasses.replace and str.replace are neither files nor effects
        return False
    return name in CALLS and owner not in {"files", "_woken"}


def points_of(function: ast.AST) -> set[str]:
    return {
        call.args[0].value
        for call in calls(function)
        if name_of(call) == "hit" and owner_of(call) == "failpoints"
        if call.args and isinstance(call.args[0], ast.Constant)
    }


def sources():
    for room in ROOMS:
        for path in sorted((SOURCE / room).rglob("*.py")):
            yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def test_every_place_has_a_point():
    bare = []
    for path, tree in sources():
        for where, function in functions(tree, path):
            places = sorted({name_of(call) for call in calls(function) if is_place(call)})
            if places and not points_of(function) and where not in EXCUSED:
                bare.append(f"{where} calls {', '.join(places)}")
    assert not bare, "no failpoint in:\n" + "\n".join(bare)


def test_nothing_is_imported_bare():
    """``from os import write`` would hide a place from the walk."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in {"os", "fcntl", "asyncio", "shutil"}, path


def test_no_point_has_a_name_that_is_not_registered_and_none_is_left_over():
    used = set().union(*(points_of(tree) for _path, tree in sources()))
    for path in (SOURCE / "adapters").rglob("*.py"):
        used |= points_of(ast.parse(path.read_text()))
    assert used == POINTS


def test_the_walk_sees_a_place_without_a_point():
    """The test above can fail."""
    bad = ast.parse("def f(fd):\n    os.write(fd, b'')\n    os.fsync(fd)\n")
    ((_where, function),) = functions(bad, "x.py")
    assert [name_of(call) for call in calls(function) if is_place(call)] == ["write", "fsync"]
    assert points_of(function) == set()


@pytest.mark.timeout(300)
def test_every_point_is_passed_by_the_suite():
    passed = set()
    for runbook in RUNBOOKS:
        for seed in (0, 1, 2, 3):
            passed |= {place.partition("@")[0] for place in hits(runbook, "at_once", seed)}
    missing = POINTS - passed - NOT_PASSED.keys()
    assert not missing, f"never passed: {sorted(missing)}"
