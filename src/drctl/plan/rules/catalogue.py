"""Every rule there is: each module here that has a ``RULE``, found by looking."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from drctl.plan import rules
from drctl.plan.rules.rule import Rule


@cache
def all_rules() -> Mapping[str, Rule]:
    """The rules by id, in order."""
    found = {}
    for module in pkgutil.iter_modules(rules.__path__):
        if module.name.startswith("dr"):
            rule: Rule = importlib.import_module(f"{rules.__name__}.{module.name}").RULE
            found[rule.id] = rule
    return MappingProxyType(dict(sorted(found.items())))


HELD_ALREADY: Mapping[str, str] = MappingProxyType(
    {
        "DR1030": "no inline secret",
        "DR1031": "nothing is named by nothing, a wildcard or an expression left over",
        "DR1060": "fence before promote",
        "DR1061": "measure the loss before promote",
        "DR1062": "every change has a timeout and an estimate, every step a timeout",
        "DR1063": "a failed change or gate is never passed over",
        "DR1064": "messages never block",
        "DR1068": "prove one primary after promote",
    }
)
"""What validation refuses: no runbook that breaks one of these is planned, or can waive it."""
