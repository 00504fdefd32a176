"""The rules as pages for people."""

from collections.abc import Iterator

from drctl.plan.rules.catalogue import HELD_ALREADY, all_rules
from drctl.plan.rules.rule import Needs, Rule
from drctl.plan.rules.waivers import TITLES

_GROUPS = {
    "DR61": "Order and safety",
    "DR62": "Fate: what is down when this is needed",
    "DR63": "Objectives and coverage",
}
_ASKED = {
    Needs.RUNBOOK: "of the runbook alone, by `drctl validate` and `drctl plan`",
    Needs.ENVIRONMENT: "with an environment, by `drctl validate -e` and `drctl plan`",
    Needs.LOOK: "when the world was looked at, by `drctl plan` without `--offline`",
}


def about(subject: str) -> str | None:
    """The page of a rule by its id, or the list of all (``rules``); ``None``: there is no such."""
    if subject.lower() == "rules":
        return "\n".join(_all()) + "\n"
    rule = all_rules().get(subject.upper())
    if rule is not None:
        return "\n".join(_one(rule)) + "\n"
    title = TITLES.get(subject.upper())
    return f"# {subject.upper()}: {title}\n\nNothing waives it.\n" if title else None


def in_short(code: str) -> str | None:
    """What a rule wants, why, and what mends it, for readers with one field."""
    rule = all_rules().get(code)
    if rule is None:
        title = TITLES.get(code)
        return f"{title}." if title else None
    return f"{rule.title}. {rule.reason} To mend it: {rule.fix}."


def _one(rule: Rule) -> Iterator[str]:
    yield from (f"# {rule.id}: {rule.title}", "")
    yield from (f"{rule.severity.capitalize()}; asked {_ASKED[rule.needs]}.", "", rule.reason, "")
    yield from ("It speaks about:", "", "```yaml", rule.bad, "```", "")
    yield from ("It has nothing to say about:", "", "```yaml", rule.good, "```", "")
    yield from (f"To mend it: {rule.fix}.", "", "Where it must stand, the runbook says so:", "")
    yield from (
        "```yaml",
        "waivers:",
        f"  - {{rule: {rule.id}, reason: why it stands, until: 2027-03-31}}",
        "```",
    )


def _all() -> Iterator[str]:
    yield from ("# Rules", "", "What is wise. They stop no run: an error that the runbook does not")
    yield from ("waive makes `drctl plan` and `drctl validate` exit 8, for the pull request.", "")
    for start, title in _GROUPS.items():
        yield from (f"## {title}", "")
        for rule in all_rules().values():
            if rule.id.startswith(start):
                yield f"- **{rule.id}** {rule.title} ({rule.severity})"
        yield ""
    yield from ("## Waivers", "")
    yield from (f"- **{code}** {title}" for code, title in TITLES.items())
    yield from ("", "## Held by validation already: such a runbook is refused", "")
    yield from (f"- **{code}** {title}" for code, title in HELD_ALREADY.items())
