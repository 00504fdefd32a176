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
EMULATED = {"aws", "rds", "edge"}
"""Stand-ins with an emulated AWS: it is a whole process's, so they come one after another."""


def _params():
    chosen = {cell.id: cell for cell in CELLS}
    # A cell that is named on the command line is there, in the slice or not.
    words = " ".join(sys.argv)
    chosen |= {cell.id: cell for cell in WHOLE if f"[{cell.id}" in words or cell.id in NAMED}
    for cell in sorted(chosen.values(), key=lambda cell: cell.id):
        group = "faults-rest" if _round(cell) == "rest" else "faults-aws"
        yield pytest.param(cell, id=cell.id, marks=pytest.mark.xdist_group(group))


def _round(cell):
    """The cells that run side by side."""
    lab = CASES[cell.action].lab
    return lab if lab in EMULATED else "rest"


def labs_of(names):
    """The stand-ins by name, each with the names of those it is made of, after them."""
    kinds, parts = {}, {}
    for path in sorted(matrix.HERE.glob("cases_*.py")):
        module = importlib.import_module(path.stem)
        kinds |= module.LABS
        parts |= getattr(module, "MADE_OF", {})
    wanted = [*(part for name in sorted(names) for part in parts.get(name, ())), *sorted(names)]
    return {name: (kinds[name], parts.get(name, ())) for name in dict.fromkeys(wanted)}


async def _run(cells):
    matrix.warm()
    labs = {}
    try:
        for name, (kind, parts) in labs_of({CASES[cell.action].lab for cell in cells}).items():
            lab = kind(*(labs[part] for part in parts))
            await lab.start()
            labs[name] = lab
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
    results, begun = {}, set()

    def of(cell):
        """The result of a cell; the first one asked of a round runs all of that round."""
        if _round(cell) not in begun:
            begun.add(_round(cell))  # once, also when its stand-ins do not start
            here = [one for one in mine if _round(one) == _round(cell)]
            results.update(asyncio.run(_run(here)))
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
