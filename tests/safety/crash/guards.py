"""What holds the promises about deaths, switched off one at a time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from guards import Guard

_CRASH = "tests/safety/crash/test_crash.py"
_ONE = f"{_CRASH} -k at_any_place"
_CALLS = "tests/safety/crash/test_calls.py -k failed"
_POINTS = "tests/safety/crash/test_every_place_has_a_point.py"

GUARDS = [
    Guard(
        name="the intent is on disk before the effect",
        promise="I6",
        file="journal/folder.py",
        old="            os.fsync(self._held.file)\n",
        new="",
        command=_ONE,
    ),
    Guard(
        name="the intent comes before the effect",
        promise="I6",
        file="engine/effects.py",
        old="            self.record(self._intent(step, call, asked))\n",
        new="            self.clock.now()\n",
        command=_ONE,
    ),
    Guard(
        name="a record that failed is not written on",
        promise="I6",
        file="journal/folder.py",
        old="        self._is_broken = True\n",
        new="",
        command=_CALLS,
    ),
    Guard(
        name="nothing is sent when the record is broken",
        promise="I6",
        file="journal/folder.py",
        old="        return not self._is_broken and self._held.is_in_place()",
        new="        return True",
        command=_CALLS,
    ),
    Guard(
        name="what may have left is looked for",
        promise="I7",
        file="engine/fold.py",
        old="    anew = [name for name in state.running if not state.steps[name].has_intent]",
        new="    anew = list(state.running)",
        command=_ONE,
    ),
    Guard(
        name="a death costs no attempt",
        promise="I7",
        file="engine/fold.py",
        old="    used = event.attempt - state.steps[event.step].forgiven",
        new="    used = event.attempt",
        command="tests/unit/engine/test_decisions.py -k death",
    ),
    Guard(
        name="a torn line is cut off",
        promise="I28",
        file="journal/held.py",
        old="            _cut_off(file, chain.size)",
        new="            pass",
        command="tests/unit/journal/test_folder.py -k torn_line",
    ),
    Guard(
        name="the run's folder is synced",
        promise="I28",
        file="journal/held.py",
        old="            files.sync(place)\n",
        new="",
        command=_ONE,
    ),
    Guard(
        name="names in the run's folder are synced",
        promise="I28",
        file="journal/held.py",
        old="    files.sync(home)\n",
        new="",
        command=_ONE,
    ),
    Guard(
        name="an interrupt waits three seconds",
        promise="I11",
        file="engine/decide.py",
        old="INTERRUPT_GRACE_S = 3.0",
        new="INTERRUPT_GRACE_S = 600.0",
        command=f"{_CRASH} -k a_signal",
    ),
    Guard(
        name="a message is not given up for a death",
        promise="I30",
        file="engine/fold.py",
        old="replace(again.get(name, state.steps[name]), started=record.at)",
        new="again.get(name, state.steps[name])",
        command="tests/unit/engine/test_decisions.py -k died_with_its_process_has_its_time",
    ),
    Guard(
        name="a write of the record has its place",
        promise="I7",
        file="journal/files.py",
        old='    failpoints.hit("files.write")\n',
        new="",
        command=_POINTS,
    ),
    Guard(
        name="what a dead process sent is waited for",
        promise="I7",
        file="engine/effects.py",
        old="        if intended is None or is_harmless:",
        new="        if True:",
        command="tests/unit/engine/test_choke_point.py -k dead_process_sent",
    ),
    Guard(
        name="an undo waits for what is harmless to repeat",
        promise="I7",
        file="engine/effects.py",
        old=" and not is_undone\n",
        new="\n",
        command="tests/unit/engine/test_choke_point.py -k undo_did_not_find",
    ),
    Guard(
        name="an undo repeats nothing to find out",
        promise="I7",
        file="engine/effects.py",
        old="may_repeat = self._may_arrive_s(step, asked.action), self.state().undo is None",
        new="may_repeat = self._may_arrive_s(step, asked.action), True",
        command="tests/unit/engine/test_choke_point.py -k unknown_to_an_undo",
    ),
]
