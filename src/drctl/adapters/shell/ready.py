"""Whether the programs that a recovery would run are on this machine."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, Use, broken, holds
from drctl.actions.contract import Context
from drctl.actions.targets import Target
from drctl.adapters.shell.process import PATH


class ProgramThere(Check[Target]):
    """
    The first word of each, which is all that can be known without running it. One whose words are
    known only during the run is left out.
    """

    name: ClassVar[str] = "shell.program"
    summary: ClassVar[str] = "The programs that steps run are on this machine, and may be run"
    targets = (Target,)
    actions: ClassVar[tuple[str, ...]] = ("shell.*",)
    minds_undo: ClassVar[bool] = True
    minds_absent: ClassVar[bool] = True

    async def look(self, ctx: Context, asked: Asked[Target]) -> Sequence[Prerequisite]:
        steps: dict[tuple[str, str], list[str]] = {}
        for use in asked.uses:
            cwd = use.params.get("cwd", "/")
            for program in _programs(use):
                if isinstance(cwd, str):
                    steps.setdefault((program, cwd), []).append(use.step)
        return [_seen(program, cwd, tuple(of)) for (program, cwd), of in steps.items()]


def _programs(use: Use) -> Iterator[str]:
    for name in ("argv", "check"):
        words: Any = use.params.get(name)
        if isinstance(words, Sequence) and words and isinstance(words[0], str):
            yield words[0]


def _seen(program: str, cwd: str, steps: tuple[str, ...]) -> Prerequisite:
    subject = f"program {program}"
    if not os.access(f"{cwd}/.", os.F_OK):
        why = f"it would run in {cwd}, which is no folder here"
        return replace(broken(subject, why, "make the folder"), steps=steps)
    # Where it is looked for when it is run: a path by the folder it runs in, a name by `PATH`.
    place = str(Path(cwd) / program) if "/" in program else program
    if shutil.which(place, path=PATH):
        return replace(holds(subject, "it is here, and may be run"), steps=steps)
    is_there = "/" in program and os.access(place, os.F_OK)
    why = "this account may not run it" if is_there else f"{_where(program)} on this machine"
    do = "make it a program: chmod" if is_there else "install it here, or mend the step"
    return replace(broken(subject, why, do), steps=steps)


def _where(program: str) -> str:
    return "there is no such file" if "/" in program else f"it is in none of {PATH}"
