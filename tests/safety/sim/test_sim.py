"""A slice of the simulated nights; the whole is ``make sim SEEDS=20000``."""

import results
from sim_many import explain, keep, many, see
from sim_night import live, story_of
from sim_shrink import shrink

SLICE = 300
FULL = 1000


def test_no_night_breaks_a_promise():
    """Whatever goes wrong, and whoever dies: the checker finds nothing."""
    seen = many(range(FULL if results.is_full() else SLICE), 1)
    keep(seen)
    ill = [one.seed for one in seen if one.broken]
    assert not ill, explain(ill[0])


def test_the_nights_are_worth_living_through():
    """Each way to end comes up, and so does each kind of trouble: else silence means nothing."""
    stories = [story_of(seed) for seed in range(SLICE)]
    for part in ("faults", "blind", "cuts", "chances", "pins", "deaths", "jumps", "said"):
        assert sum(bool(getattr(story, part)) for story in stories) > SLICE // 8, part
    ends = {see(seed).result for seed in range(60)}
    assert {"succeeded", "failed", "refused", "unknown", "paused"} <= ends


def test_one_seed_is_one_night():
    """The same bytes twice, whatever ran before in this process."""
    for seed in (0, 1, 7, 12, 33, 46):
        first = live(story_of(seed)).journal
        live(story_of(seed + 1000))
        assert live(story_of(seed)).journal == first, f"make sim SEED={seed}"


def test_a_night_is_made_smaller_down_to_what_matters():
    """Of all that goes wrong only what a failure needs is left."""
    seed = next(
        seed
        for seed in range(1000)
        if len(story_of(seed).deaths) == 2 and len(story_of(seed).faults) > 2
    )
    small = shrink(story_of(seed), lambda story: len(story.deaths) in {1, 2})
    assert (len(small.deaths), small.size) == (1, 1)
