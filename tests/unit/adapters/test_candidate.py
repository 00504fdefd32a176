"""A silent receiver: a new one is looked at again, one that is gone is refused at once."""

from dataclasses import replace

from drctl.adapters._candidate import Evidence, Seen, lasting, objections
from drctl.adapters._witness import Missing

STANDBY = Seen(
    system_identifier="7",
    is_in_recovery=True,
    timeline=1,
    receive_lsn="0/3000000",
    replay_lsn="0/3000000",
    is_paused=False,
    apply_delay="0",
    is_receiving=True,
    upstream=("127.0.0.9", 5432),
)
EVIDENCE = Evidence(
    system_identifier="7",
    sighting=Missing("no witness"),
    from_timeline=1,
    neighbours=(),
    accepts_silence=False,
    upstream=replace(STANDBY, is_in_recovery=False, upstream=None),
)


def test_one_that_receives_is_fit():
    assert objections(STANDBY, EVIDENCE) == ()


def test_a_receiver_that_has_just_begun_speaks_against_it_and_may_pass():
    (against,) = objections(replace(STANDBY, is_receiving=False, is_beginning=True), EVIDENCE)
    assert "disconnected from WAL" in against.why
    assert lasting([against]) == []


def test_one_without_a_receiver_is_refused_for_good():
    against = objections(replace(STANDBY, is_receiving=False), EVIDENCE)
    assert len(lasting(against)) == 1
