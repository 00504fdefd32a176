"""Use case: what a change does to a recovery, from two saved plans."""

from pathlib import Path

from pydantic import ValidationError

from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import sanitize
from drctl.plan.diff import Diff, compare
from drctl.plan.outline import LARGEST, Outline


def compare_files(before: Path, after: Path) -> Diff:
    """
    Compares two saved plans, of any version, by anybody.

    Raises:
        InvalidError: One of them is no plan; both when neither is.
    """
    read = [_read(path) for path in (before, after)]
    problems = tuple(one for one in read if isinstance(one, Problem))
    old, new = read
    if isinstance(old, Problem) or isinstance(new, Problem):
        raise InvalidError(problems)
    return compare(old, new)


def _read(path: Path) -> Outline | Problem:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            return _no_plan(path, f"it is larger than {LARGEST // 1024 // 1024} MiB")
        return Outline.model_validate_json(data)
    except OSError as error:
        return _no_plan(path, error.strerror or str(error))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return _no_plan(path, f"{where}: {first['msg']}" if where else first["msg"])


def _no_plan(path: Path, why: str) -> Problem:
    what = f"{path} cannot be read as a saved plan"
    do = "drctl plan RUNBOOK -e ENV --offline --out FILE"
    return Problem(code="DR3203", what=what, why=sanitize(why, limit=300), do=do)
