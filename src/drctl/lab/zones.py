"""
What Route 53's name servers answer: hosted zones, routing policies and aliases as pure functions.

A record set is chosen among those with the same name and type as AWS documents it: failover gives
the healthy primary, then the healthy secondary, and the primary again when neither is healthy;
weighted and multivalue sets that are all unhealthy count as all healthy. A set without a health
check is healthy.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

ALIAS_TTL_S = 1
"""An alias to a load balancer has 60 s at AWS; the lab compresses what a vendor takes."""

_CHASE_LIMIT = 8
"""Links of CNAMEs and aliases followed in one answer; a loop must end, resolvers stop near here."""

_MULTIVALUE_LIMIT = 8
"""Values that Route 53 returns at most of a multivalue set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another name whose addresses a record set answers with."""

    name: str
    evaluates_health: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """One resource record set of a hosted zone; names are lower case and end with a dot."""

    name: str
    type: str
    ttl_s: int = 300
    values: tuple[str, ...] = ()
    alias: Alias | None = None
    failover: str | None = None
    weight: int | None = None
    is_multivalue: bool = False
    health_check_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A hosted zone as it is served at one moment."""

    name: str
    records: tuple[RecordSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One line of an answer section."""

    name: str
    type: str
    ttl_s: int
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a query gets: the response code, the answers, and the SOA when there are none."""

    rcode: str
    answers: tuple[Answer, ...] = ()
    authority: tuple[Answer, ...] = ()


def canonical(name: str) -> str:
    """Writes a name as zones hold it: lower case, with the final dot."""
    return name.lower().rstrip(".") + "."


class Resolution:
    """Answers queries from zones, health and the names that AWS itself serves."""

    def __init__(
        self,
        *,
        zones: Callable[[], Iterable[Zone]],
        is_healthy: Callable[[str], bool] = lambda _: True,
        extra: Callable[[str], str | None] = lambda _: None,
        extra_suffixes: Sequence[str] = (
            ".rds.amazonaws.com.",
            ".elb.amazonaws.com.",
            ".svc.cluster.local.",
        ),
        is_target_healthy: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            zones: The zones as served now; asked once per query.
            is_healthy: The state of a health check, by its id.
            extra: The address of an AWS-owned name (lower case, no final dot), or None.
            extra_suffixes: Which names are AWS's: unknown ones below these do not exist, where
                those of strangers are refused.
            is_target_healthy: Whether the owner of an alias target says that it can serve.
        """
        self._zones = zones
        self._is_healthy = is_healthy
        self._extra = extra
        self._extra_suffixes = tuple(extra_suffixes)
        self._is_target_healthy = is_target_healthy

    def reply(self, name: str, type_: str) -> Reply:
        """Answers one question, chasing CNAMEs and aliases as far as our own names go."""
        zones = tuple(self._zones())
        question = canonical(name)
        if self._owner(question, zones) is None and not self._is_aws_name(question):
            return Reply(rcode="REFUSED")
        answers: list[Answer] = []
        for _ in range(_CHASE_LIMIT):
            reply, link = self._step(question, type_, zones)
            answers += (link,) if link is not None else reply.answers
            if link is None:
                authority = () if answers else reply.authority
                return Reply(rcode=reply.rcode, answers=tuple(answers), authority=authority)
            question = canonical(link.value)
        return Reply(rcode="SERVFAIL")

    def _step(self, name: str, type_: str, zones: Sequence[Zone]) -> tuple[Reply, Answer | None]:
        """Answers for one name: with a reply, or with the CNAME that leads on."""
        if address := self._extra(name.rstrip(".")):
            line = Answer(name=name, type="A", ttl_s=ALIAS_TTL_S, value=address)
            return Reply(rcode="NOERROR", answers=(line,) if type_ in {"A", "ANY"} else ()), None
        zone = self._owner(name, zones)
        if zone is None:
            return Reply(rcode="NXDOMAIN" if self._is_aws_name(name) else "NOERROR"), None
        found = _sets_of(zone, name)
        if found is None:
            return Reply(rcode="NXDOMAIN", authority=_soa(zone)), None
        if type_ not in {"CNAME", "ANY"}:
            links = self._of_type(name, "CNAME", found, zones)
            if links:
                return Reply(rcode="NOERROR"), links[0]
        answers = tuple(self._of_type(name, type_, found, zones))
        return Reply(rcode="NOERROR", answers=answers, authority=_soa(zone)), None

    def _of_type(
        self,
        name: str,
        type_: str,
        found: Sequence[RecordSet],
        zones: Sequence[Zone],
        depth: int = 0,
    ) -> list[Answer]:
        answers: list[Answer] = []
        for wanted in sorted({record.type for record in found}):
            if type_ not in {wanted, "ANY"}:
                continue
            same = [record for record in found if record.type == wanted]
            for record in self._chosen(same, zones, depth):
                if record.alias is not None:
                    values = self._values_of_alias(record.alias, wanted, zones, depth + 1)
                    ttl_s = ALIAS_TTL_S
                else:
                    values, ttl_s = record.values, record.ttl_s
                answers += [
                    Answer(name=name, type=wanted, ttl_s=ttl_s, value=value) for value in values
                ]
        return answers

    def _values_of_alias(
        self, alias: Alias, type_: str, zones: Sequence[Zone], depth: int
    ) -> tuple[str, ...]:
        if depth >= _CHASE_LIMIT:
            return ()
        if address := self._extra(alias.name.rstrip(".")):
            return (address,) if type_ == "A" else ()
        zone = self._owner(alias.name, zones)
        found = _sets_of(zone, alias.name) if zone is not None else None
        return tuple(
            answer.value for answer in self._of_type(alias.name, type_, found or (), zones, depth)
        )

    def _chosen(
        self, same: Sequence[RecordSet], zones: Sequence[Zone], depth: int
    ) -> Sequence[RecordSet]:
        healthy = [record for record in same if self._serves(record, zones, depth)]
        if any(record.failover for record in same):
            ordered = sorted(same, key=lambda record: record.failover != "PRIMARY")
            return [next((record for record in ordered if record in healthy), ordered[0])]
        candidates = healthy or same
        if any(record.weight is not None for record in same):
            weights = [record.weight or 0 for record in candidates]
            if not any(weights):
                weights = [1] * len(candidates)
            return random.choices(candidates, weights)
        if any(record.is_multivalue for record in same):
            return random.sample(candidates, min(len(candidates), _MULTIVALUE_LIMIT))
        return same

    def _serves(self, record: RecordSet, zones: Sequence[Zone], depth: int) -> bool:
        if record.health_check_id and not self._is_healthy(record.health_check_id):
            return False
        if record.alias is None or not record.alias.evaluates_health or depth >= _CHASE_LIMIT:
            return True
        if self._extra(record.alias.name.rstrip(".")):
            return self._is_target_healthy(record.alias.name.rstrip("."))
        zone = self._owner(record.alias.name, zones)
        found = _sets_of(zone, record.alias.name) if zone is not None else None
        same = [other for other in found or () if other.type == record.type]
        return any(self._serves(other, zones, depth + 1) for other in same)

    def _is_aws_name(self, name: str) -> bool:
        return name.endswith(self._extra_suffixes)

    @staticmethod
    def _owner(name: str, zones: Sequence[Zone]) -> Zone | None:
        owners = [zone for zone in zones if name == zone.name or name.endswith(f".{zone.name}")]
        return max(owners, key=lambda zone: len(zone.name), default=None)


def _sets_of(zone: Zone, name: str) -> Sequence[RecordSet] | None:
    """The sets at a name; empty when only names below it exist; None when it does not exist."""
    exact = [record for record in zone.records if record.name == name]
    if exact:
        return exact
    if any(record.name.endswith(f".{name}") for record in zone.records):
        return ()
    parent = name.partition(".")[2]
    while parent and (parent == zone.name or parent.endswith(f".{zone.name}")):
        wild = [record for record in zone.records if record.name == f"*.{parent}"]
        if wild:
            return wild
        if any(record.name == parent for record in zone.records):
            return None
        parent = parent.partition(".")[2]
    return None


def _soa(zone: Zone) -> tuple[Answer, ...]:
    return tuple(
        Answer(name=zone.name, type="SOA", ttl_s=record.ttl_s, value=value)
        for record in zone.records
        if record.type == "SOA"
        for value in record.values
    )
