"""What keeps lengths lengths, each of it switched off in turn."""

from guards import Guard

_JUMPS = "tests/safety/clock/test_clock.py"
_NUMBERS = "tests/safety/clock/test_numbers.py"
_REAL = "tests/safety/clock/test_real_clocks.py"

GUARDS = [
    Guard(
        name="boot time for lengths", promise="I22", file="kernel/clock.py",
        old="if start.boot_id == end.boot_id:", new="if False:", command=_JUMPS,
    ),
    Guard(
        name="no negative length across boots", promise="I22", file="kernel/clock.py",
        old="seconds=max(0.0, wall_s), is_certain=False", new="seconds=wall_s, is_certain=False",
        command=_JUMPS,
    ),
    Guard(
        name="no negative length in a boot", promise="I22", file="kernel/clock.py",
        old="seconds=max(0.0, end.boot_s - start.boot_s)", new="seconds=end.boot_s - start.boot_s",
        command=_JUMPS,
    ),
    Guard(
        name="across boots is not certain", promise="I22", file="kernel/clock.py",
        old="seconds=max(0.0, wall_s), is_certain=False",
        new="seconds=max(0.0, wall_s), is_certain=True",
        command=_JUMPS,
    ),
    Guard(
        name="what a boot measured is kept", promise="I22", file="engine/state.py",
        old="passed_s=self.elapsed(at).seconds, is_certain=False",
        new="passed_s=length_between(self.anchors[0].at, at).seconds, is_certain=False",
        command=_JUMPS,
    ),
    Guard(
        name="a time namespace is another boot", promise="I22", file="kernel/clock.py",
        old='if any(word != "0" for word in offset) else name', new="if False else name",
        command=_REAL,
    ),
    Guard(
        name="say that it is not certain", promise="I22", file="engine/driver.py",
        old="                rta_is_certain=state.restored_is_certain,\n", new="", command=_JUMPS,
    ),
    Guard(
        name="nothing restored without proof", promise="I23", file="engine/decide.py",
        old='        if step.status not in {"succeeded", "skipped"}:\n            return None\n',
        new='        if step.status not in {"succeeded", "skipped"}:\n'
        "            moments.append(state.elapsed(state.latest))\n            continue\n",
        command=_NUMBERS,
    ),
    Guard(
        name="the clock stops when the proof finished", promise="I23", file="engine/decide.py",
        old="moments.append(state.elapsed(step.finished))",
        new="moments.append(state.elapsed(state.latest))", command=_NUMBERS,
    ),
]  # fmt: skip
