"""Makes a failing night smaller: fewer troubles, the same broken promise."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from sim_story import Story

_PARTS = ("faults", "blind", "cuts", "chances", "pins", "deaths", "jumps", "said")


def shrink(story: Story, fails: Callable[[Story], bool]) -> Story:
    """Drops one trouble after the other, as long as the night still *fails*."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(story):
            if fails(smaller):
                story, is_smaller = smaller, True
                break
    return story


def _smaller(story: Story) -> Iterator[Story]:
    for name in _PARTS:
        items = getattr(story, name)
        if len(items) > 1:
            yield replace(story, **{name: ()})
        for number in range(len(items)):
            yield replace(story, **{name: items[:number] + items[number + 1 :]})
    if story.interrupt_s is not None:
        yield replace(story, interrupt_s=None)
    if story.undone_after_s is not None:
        yield replace(story, undone_after_s=None)
    if story.resumes:
        yield replace(story, resumes=story.resumes - 1)
    if story.accepted_s is not None:
        yield replace(story, accepted_s=None)


def told(story: Story) -> str:
    """The troubles of a night, one a line."""
    lines = [f"seed {story.seed}, " + ("a made-up runbook" if story.made else "region-failover")]
    for name in _PARTS:
        lines += [f"  {name}: {item}" for item in getattr(story, name)]
    if story.interrupt_s is not None:
        lines.append(f"  interrupted after {story.interrupt_s}s")
    if story.undone_after_s is not None:
        lines.append(f"  taken back {story.undone_after_s}s later")
    if story.resumes:
        lines.append(f"  taken up {story.resumes} times when it had stopped")
    lines.append(f"  loss {story.lost.get('bound')}, accepted {story.accepted_s}")
    return "\n".join(lines)
