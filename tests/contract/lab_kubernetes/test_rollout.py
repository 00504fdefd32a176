"""The arithmetic of a rollout obeys the rules of the real controller."""

import pytest

from drctl.lab.kubernetes.rollout import (
    Limits,
    Size,
    bare_template,
    grow_new,
    limits,
    share,
    shrink_old,
    spread,
    template_hash,
)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable"), [(1, 1, 0), (3, 1, 0), (4, 1, 1), (10, 3, 2), (0, 0, 1)]
)
def test_a_quarter_is_rounded_up_for_more_and_down_for_less(
    replicas: int, surge: int, unavailable: int
) -> None:
    rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
    spec = {
        "replicas": replicas,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }
    assert limits(spec) == Limits(replicas, surge, min(unavailable, replicas))


def test_words_that_are_no_share_are_refused() -> None:
    for wrong in ("25", "x%", "", -1):
        with pytest.raises(ValueError, match=r".+"):
            share(wrong, 4, up=True)


def test_a_rollout_of_three_moves_one_pod_at_a_time_and_never_serves_with_fewer() -> None:
    allowed = Limits(3, 1, 0)
    old, new = Size(3, 3), Size(0, 0)
    steps = []
    for _ in range(20):
        grown = grow_new(allowed, new, [old, new])
        (shrunk,) = shrink_old(allowed, Size(grown, new.available), [old])
        assert grown + shrunk <= allowed.most
        new, old = Size(grown, new.available), Size(shrunk, min(old.available, shrunk))
        steps.append((old.wanted, new.wanted))
        new = Size(new.wanted, new.wanted)  # what was started became available
        assert old.available + new.available >= allowed.least
    assert list(dict.fromkeys(steps)) == [(3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)]


def test_old_pods_that_serve_nobody_go_first() -> None:
    allowed = Limits(4, 1, 1)
    assert shrink_old(allowed, Size(2, 0), [Size(1, 0), Size(3, 3)]) == [0, 3]


def test_a_new_version_that_never_serves_takes_no_pod_from_the_old_one() -> None:
    allowed = Limits(3, 1, 0)
    assert shrink_old(allowed, Size(1, 0), [Size(3, 3)]) == [3]
    assert grow_new(allowed, Size(1, 0), [Size(3, 3), Size(1, 0)]) == 1


def test_scaling_in_the_middle_keeps_the_proportions() -> None:
    """The example of the Kubernetes documentation: 10 to 15 with 8 old and 5 new pods."""
    before = Limits(10, 3, 2)
    after = Limits(15, 3, 2)
    sizes = [Size(8, 8, before.most), Size(5, 0, before.most)]
    assert spread(after, sizes) == [11, 7]
    assert sum(spread(Limits(5, 2, 1), sizes)) == 7


def test_equal_templates_have_equal_names_whatever_their_replica_set_added() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    labels = {"app": "web", "pod-template-hash": "abc"}
    labelled = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    assert bare_template(labelled) == bare_template(template)
    assert template_hash(labelled) == template_hash(template)
    assert template_hash({**template, "spec": {}}) != template_hash(template)
