"""Who builds the database that the estate's application uses, and what it must tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from drctl.lab.access import Secrets
from drctl.lab.estate.aws import Aws
from drctl.lab.plan import AddressPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a database is built with."""

    plan: AddressPlan
    secrets: Secrets
    aws: Aws
    facts: Mapping[str, Mapping[str, Any]]
    """What the shape's parts told of themselves, by class name."""
    cluster: Callable[[str], Any]
    """Region to a `kubernetes.client.ApiClient` of its cluster."""
    start_pods: Callable[[str], None]
    """Call it once, with the primary's host, as soon as the application could use it."""
    observe: Callable[[str], None]
    """Call it once, with the primary's host, as soon as the witness could."""
    balancer: Callable[[str], str]
    """Region to the name of its load balancer; waits until there is one."""
    say: Callable[[str], None]


PROVEN_BY_A_ROW: Final = {
    "app-bad-release": "app-rollback",
    "validation": "post-recovery-validation",
}
"""Runbooks for every lab with a ``db.primary`` in which a row proves that all of it works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A database that runs, with its standby."""

    targets: Mapping[str, Mapping[str, Any]]
    """Its entries in the environment file."""
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    """Scenario to runbook, as the environment file has them."""


class Databases(Protocol):
    """One way to have a database; its class takes no arguments."""

    def build(self, ground: Ground) -> Built:
        """
        Builds it through its APIs, as anybody would; returns when primary and standby work.

        Raises:
            Exception: An API refused; the exception is its client library's.

        Changes:
            What it builds.
        """
