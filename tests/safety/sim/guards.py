"""What keeps the promises in the core, each of it switched off in turn."""

from guards import Guard

_NIGHTS = "tests/safety/sim/test_sim.py -k breaks_a_promise"


def _guard(name: str, promise: str, file: str, old: str, new: str) -> Guard:
    return Guard(name=name, promise=promise, file=file, old=old, new=new, command=_NIGHTS)


GUARDS = [
    _guard(
        "look before going on after a death", "I7", "engine/driver.py",
        "self._state.steps[step].attempt, looks_again=True)",
        "self._state.steps[step].attempt)",
    ),
    _guard(
        "no promotion without a fence", "I1", "engine/decide.py",
        "if unfenced or not fences:", "if False:",
    ),
    _guard(
        "no promotion on too large a loss", "I2", "engine/fold.py",
        "return bound_s <= max(rpo_s, accepted_s or 0.0)", "return True",
    ),
    _guard(
        "no promotion on an unknown loss", "I2", "engine/fold.py",
        "return accepted_s is not None and accepted_s >= ANY_LOSS_S", "return True",
    ),
    _guard(
        "measure anew after a resume", "I2", "engine/fold.py",
        "    state = _measured_anew(plan, state)\n", "",
    ),
    _guard(
        "stop at another identity", "I3", "engine/effects.py",
        'if verdict == "mismatch":', "if False:",
    ),
    _guard(
        "no success without proof", "I4", "engine/decide.py",
        "if state.restored_s is None and plan.objectives.stops_after:", "if False:",
    ),
    _guard(
        "intent before effect", "I6", "engine/effects.py",
        "            self.record(self._intent(step, asked))", "            pass",
    ),
    _guard(
        "never retry an unknown outcome", "I8", "engine/fold.py",
        'if event.outcome != "failed" or not is_named', "if not is_named",
    ),
    _guard(
        "cannot tell is not: did not happen", "I7", "engine/effects.py",
        'return Ending(outcome="unknown", outputs={}, error=word, why=both)',
        "return _failed(word, both)",
    ),
    _guard(
        "deadlines", "I11", "engine/effects.py",
        "self.clock.sleep(deadline.left_s(self.clock)))",
        "self.clock.sleep(10 * deadline.left_s(self.clock)))",
    ),
    _guard(
        "halt on a failure", "I13", "engine/fold.py",
        "return state if state.pause else replace(state, pause=Pause(kind=kind, why=why))",
        "return state",
    ),
    _guard(
        "quorum", "I17", "engine/fold.py",
        "if len(people) < gate.quorum:", "if False:",
    ),
    _guard(
        "one person is one approval", "I17", "engine/fold.py",
        "people = tuple(dict.fromkeys((*gate.approved_by, event.by)))",
        "people = (*gate.approved_by, event.by)",
    ),
    _guard(
        "say that a length is not certain", "I22", "engine/decide.py",
        "is_certain=all(m.is_certain for m in moments)", "is_certain=True",
    ),
    _guard(
        "restored only when all that prove it have", "I23", "engine/decide.py",
        '        if step.status not in {"succeeded", "skipped"}:\n            return None\n', "",
    ),
]  # fmt: skip
