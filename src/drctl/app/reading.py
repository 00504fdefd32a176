"""Use case: runs read back from their folders."""

from functools import reduce

from drctl.app.compose import Parts
from drctl.engine.events import RunStarted
from drctl.engine.fold import fold
from drctl.engine.state import State, initial
from drctl.journal.chain import Chain
from drctl.journal.folder import Folder, all_folders
from drctl.kernel.errors import InvalidError, JournalError, Problem
from drctl.kernel.text import did_you_mean
from drctl.plan.model import Plan


def find_run(parts: Parts, name: str) -> Folder:
    """
    Finds a run by id, by an unambiguous beginning of one, or the newest as ``latest``.

    Raises:
        InvalidError: None, or more than one.
    """
    folders = all_folders(parts.runs)
    if name == "latest" and folders:
        return folders[0]
    fitting = [folder for folder in folders if folder.run_id.startswith(name) and name]
    exact = [folder for folder in fitting if folder.run_id == name]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    near = did_you_mean(name, [folder.run_id for folder in folders])
    many = "no run is" if not fitting else f"{len(fitting)} runs are"
    problem = Problem(code="DR4004", what=f'{many} called "{name}"{near}', do="drctl runs list")
    raise InvalidError((problem,))


def fold_run(folder: Folder) -> tuple[State, Chain]:
    """
    What is known of a run, from its journal alone.

    Raises:
        JournalError: The journal or the plan does not verify.
    """
    plan, chain = read_run(folder)
    return reduce(
        lambda state, record: fold(plan, state, record), chain.records, initial(plan)
    ), chain


def read_run(folder: Folder) -> tuple[Plan, Chain]:
    """
    The plan and the journal of a run.

    Raises:
        JournalError: One of them does not verify, or they do not belong together.
    """
    plan, chain = folder.plan(), folder.read()
    first = chain.records[0].event if chain.records else None
    if first is None or (isinstance(first, RunStarted) and _began_with(first, plan)):
        return plan, chain
    problem = Problem(
        code="DR4005",
        what=f"the plan of run {folder.run_id} is not the one that its journal began with",
        at=str(folder.path / "plan.json"),
        do=f"look by eye: less {folder.journal}",
    )
    raise JournalError((problem,))


def _began_with(first: RunStarted, plan: Plan) -> bool:
    """A journal from before plans had a seal names a digest only."""
    return first.plan_digest == plan.digest and first.plan_seal in {"", plan.seal}
