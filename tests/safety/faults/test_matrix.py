"""
Every operation of every installed action, under every fault, once and for ever.

The slice covers every action and every fault; ``make faults`` runs the whole. One cell again:

    python -m pytest 'tests/safety/faults/test_matrix.py::test_a_cell_keeps_the_promises[CELL]'
"""

import asyncio
import importlib
import os
import sys

import fault_matrix as matrix
import pytest
from results import is_full

from drctl.actions.registry import installed

SEED = int(os.environ.get("DRCTL_SEED", "0"))
SLICE = 80
CASES = matrix.cases()
WHOLE = matrix.cells(matrix.registry(), CASES)
NAMED = {name for name in os.environ.get("DRCTL_CELLS", "").split() if name}
CELLS = WHOLE if is_full() else matrix.sample(WHOLE, SEED, SLICE)
GROUP = {"aws": "faults-aws"}
"""The two halves run side by side: the emulated AWS is one process's own."""


def _params():
    chosen = {cell.id: cell for cell in CELLS}
    # A cell that is named on the command line is there, in the slice or not.
    words = " ".join(sys.argv)
    chosen |= {cell.id: cell for cell in WHOLE if f"[{cell.id}" in words or cell.id in NAMED}
    for cell in sorted(chosen.values(), key=lambda cell: cell.id):
        group = GROUP.get(CASES[cell.action].lab, "faults-rest")
        yield pytest.param(cell, id=cell.id, marks=pytest.mark.xdist_group(group))


def labs_of(names):
    """The stand-ins by name."""
    found = {}
    for path in sorted(matrix.HERE.glob("cases_*.py")):
        labs = importlib.import_module(path.stem).LABS
        found |= {name: kind for name, kind in labs.items() if name in names}
    return found


async def _run(cells):
    matrix.warm()
    labs = {}
    try:
        for name, kind in labs_of({CASES[cell.action].lab for cell in cells}).items():
            labs[name] = kind()
            await labs[name].start()
        return await matrix.run_all(cells, CASES, labs, seed=SEED)
    finally:
        for lab in labs.values():
            await lab.stop()


@pytest.fixture(scope="session")
def told(request):
    """Runs every cell that this process was given, side by side, before the first is judged."""
    mine = [
        item.callspec.params["cell"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_a_cell_keeps_the_promises"
    ]
    by_half = {
        is_aws: [cell for cell in mine if (CASES[cell.action].lab == "aws") is is_aws]
        for is_aws in (False, True)
    }
    results = {}
    half: dict[bool, bool] = {}

    def of(cell):
        """The result of a cell; the first one asked of a half runs all of that half."""
        which = CASES[cell.action].lab == "aws"
        if which not in half:
            half[which] = True
            results.update(asyncio.run(_run(by_half[which])))
            part = os.environ.get("PYTEST_XDIST_WORKER", "all")
            matrix.merge(matrix.rows_of(results.values()), part)
        return results[cell.id]

    return of


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("cell", _params())
def test_a_cell_keeps_the_promises(cell, told):
    one = told(cell)
    again = (
        "\nagain: PYTHONPATH=src python -m pytest "
        f"'tests/safety/faults/test_matrix.py::{_name()}[{cell.id}]'"
    )
    assert not one.broken, one.broken + again
    said = "\n".join(f"{promise}: {why}" for promise, why in one.violations)
    assert not one.violations, f"{said}\n{one.outcome} ({one.error}): {one.why}{again}"


def _name():
    return test_a_cell_keeps_the_promises.__name__


def test_every_installed_action_has_a_case():
    """A new action cannot escape the matrix."""
    names = {action.name for action in installed()}
    assert names - CASES.keys() == set(), "write a case in tests/safety/faults/cases_*.py"
    assert CASES.keys() - names == set()


def test_only_what_a_person_or_a_program_does_has_no_operations():
    """Between drctl and a program of its own machine is no network; see tests/contract/shell."""
    idle = {name for name, case in CASES.items() if not case.ops}
    programs = {a.name for a in installed() if a.name.startswith("shell.")}
    assert idle == {a.name for a in installed() if a.asks_person} | programs


def test_the_slice_has_every_action_and_every_fault():
    chosen = matrix.sample(WHOLE, SEED, SLICE)
    assert {cell.action for cell in chosen} == {cell.action for cell in WHOLE}
    assert {(c.deed, c.persistent) for c in chosen} == {(c.deed, c.persistent) for c in WHOLE}
    assert len({cell.id for cell in WHOLE}) == len(WHOLE)
