"""What keeps the promises in the core, each of it switched off in turn."""

from guards import Guard

_NIGHTS = "tests/safety/sim/test_sim.py -k breaks_a_promise"


def _guard(name: str, promise: str, file: str, old: str, new: str) -> Guard:
    return Guard(name=name, promise=promise, file=file, old=old, new=new, command=_NIGHTS)


GUARDS = [
    _guard(
        "look before going on after a death", "I7", "engine/driver.py",
        "look = Attempt.look if state.undo is not None else Attempt.look_again",
        "look = Attempt.run",
    ),
    _guard(
        "no promotion without a fence", "I1", "engine/decide.py",
        "if (unfenced or not fences) and state.forced_for(step.id) is None:", "if False:",
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
        "    state = measured_anew(plan, state, stale)\n", "",
    ),
    _guard(
        "stop at another identity", "I3", "engine/identities.py",
        'if held == "mismatch":', "if False:",
    ),
    _guard(
        "no success without proof", "I4", "engine/outcome.py",
        "if state.restored_s is None and plan.objectives.stops_after:", "if False:",
    ),
    _guard(
        "intent before effect", "I6", "engine/effects.py",
        "            self.record(self._intent(step, call, asked))", "            pass",
    ),
    _guard(
        "never retry an unknown outcome", "I8", "engine/fold.py",
        'if event.outcome != "failed" or not is_named', "if not is_named",
    ),
    _guard(
        "cannot tell is not: did not happen", "I7", "engine/effects.py",
        'return Ending(outcome="unknown", outputs={}, error=word, why=both)',
        "return failed(word, both)",
    ),
    _guard(
        "deadlines", "I11", "engine/effects.py",
        "self.clock.sleep(deadline.left_s(self.clock)))",
        "self.clock.sleep(10 * deadline.left_s(self.clock)))",
    ),
    _guard(
        "halt on a failure", "I13", "engine/settling.py",
        "state if state.pause else replace(state, pause=Pause(kind=kind, why=why, step=step))",
        "state",
    ),
    _guard(
        "quorum", "I17", "engine/fold.py",
        "if len(people) < gate.quorum:", "if False:",
    ),
    _guard(
        "one person is one approval", "I17", "engine/fold.py",
        "people = tuple(dict.fromkeys((*gate.approved_by, event.person or event.by)))",
        "people = (*gate.approved_by, event.person or event.by)",
    ),
    _guard(
        "never undo a promotion's fence", "I12", "engine/undoing.py",
        "if step.effect.is_irreversible and not _is_unclear(state.steps[step.id]):", "if False:",
    ),
    _guard(
        "undo all of it", "I12", "engine/undoing.py",
        "        steps=with_undo,", "        steps=with_undo[:-1],",
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
