"""What scripts get wrong. One file a family; each rule has the number of its error."""

from collections.abc import Iterator

from drctl.importing.rules import (
    balancer,
    database,
    documents,
    everywhere,
    messages,
    region,
    restore,
    rollout,
    secrets,
)
from drctl.importing.rules.rule import Finding, Hit, Rule
from drctl.importing.script import Script
from drctl.importing.secrets import without_secrets
from drctl.kernel.text import sanitize

__all__ = ["RULES", "Finding", "Hit", "Rule", "find"]

RULES: dict[str, Rule] = {
    rule.id: rule
    for family in (
        everywhere,
        secrets,
        rollout,
        database,
        restore,
        balancer,
        region,
        messages,
        documents,
    )
    for rule in sorted(family.RULES, key=lambda one: one.id)
}


def find(script: Script) -> Iterator[Finding]:
    """Every rule that *script* breaks, in the order of the text."""
    found = [
        Finding(
            id=rule.id,
            severity=rule.severity,
            at=hit.at,
            what=sanitize(without_secrets(hit.what), limit=300),
            why=rule.reason,
            fix=rule.fix,
            source=rule.source,
            script=script.name,
        )
        for rule in RULES.values()
        if rule.language == script.language
        for hit in rule.find(script)
    ]
    yield from sorted(found, key=lambda one: (one.at, one.id))
