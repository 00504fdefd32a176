"""Nothing opens a database to the internet."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from drctl.plan.rules.case import Case, leaves
from drctl.plan.rules.rule import Found, Rule

_OPEN = "publicly_accessible"
_FLAGS = {"--publicly-accessible", "--authorized-networks=0.0.0.0/0"}


def _judge(case: Case) -> Iterator[Found]:
    for step, call, given in case.given:
        is_database = (call.target or "").startswith("db.")
        for name, value in leaves(case.params(step, call)) if is_database else given:
            if value is True and name.rpartition(".")[2] == _OPEN:
                yield Found(what=f"{step.id} makes a database public: {name}: true", step=step)
            if isinstance(value, str) and value in _FLAGS:
                yield Found(what=f"{step.id} makes a database public: {value}", step=step)
            elif is_database and _is_public(value):
                yield Found(
                    what=f"{step.id} lets {value} into {call.target}: addresses of the internet",
                    step=step,
                    why=f"{name} is {value}",
                )


def _is_public(value: Any) -> bool:
    """Whether it is a network that reaches into the internet. One address of it is a person's."""
    if not isinstance(value, str) or "/" not in value:
        return False
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return network.num_addresses > 1 and not network.is_private


RULE = Rule(
    id="DR6109",
    title="No public database",
    severity="error",
    reason="A restore in a hurry with a public endpoint is a copy of production for everybody,"
    " and stays one when the incident is closed.",
    bad='uses: postgres.clients.admit\nwith: {operators: [10.0.0.7], networks: ["0.0.0.0/0"]}',
    good='uses: postgres.clients.admit\nwith: {operators: [10.0.0.7], networks: ["10.20.0.0/16"]}',
    fix="name the application's private network",
    judge=_judge,
    varies=True,
)
