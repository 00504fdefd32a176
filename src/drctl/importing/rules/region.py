"""Leaving a region (E51 to E60)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.database import FENCES, LAG
from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Command, Script
from drctl.importing.tools import (
    aws,
    is_replica_promotion,
    kubectls,
    queries,
    replicas_of,
    traffic_moves,
    url_of,
)

_AVAILABLE = (r"db-instance-available", r"DBInstanceStatus", r"pg_is_in_recovery")
_STATUS = (r"DBInstanceStatus", r"db-instance-available", r"backup-retention", r"LatestRestorable")
_CAPACITY = (
    r"service-quotas",
    r"describe-images",
    r"ecr\b",
    r"get nodes",
    r"top nodes",
    r"auth can-i",
)
_MESSAGES = re.compile(r"slack|pagerduty|statuspage|opsgenie|teams|webhook", re.IGNORECASE)


def _replicas(script: Script) -> list[Command]:
    return [one for one in script.commands if is_replica_promotion(one)]


def _is_available(command: Command) -> bool:
    return queries(command, *_AVAILABLE)


def _order(script: Script) -> Iterator[Hit]:
    for promoted in _replicas(script):
        for call in kubectls(script, "scale", "apply", "rollout restart"):
            if call.command.index < promoted.index and replicas_of(call) != 0:
                yield Hit(call.command.at, "starts the application before it has a database")
                break
        for moved in traffic_moves(script):
            between = script.commands[promoted.index + 1 : moved.index]
            if moved.index > promoted.index and not any(_is_available(one) for one in between):
                what = "moves traffic when the promotion has only been asked for"
                yield Hit(moved.at, what)
                break


def _no_fence(script: Script) -> Iterator[Hit]:
    for command in _replicas(script):
        if not any(queries(one, *FENCES) for one in script.before(command)):
            yield Hit(command.at, "promotes while the region that is left may take writes")


def _no_lag(script: Script) -> Iterator[Hit]:
    for command in _replicas(script):
        if not any(queries(one, *LAG) for one in script.before(command)):
            yield Hit(command.at, "promotes a replica of another region without asking for its lag")


def _no_precheck(script: Script) -> Iterator[Hit]:
    for command in _replicas(script):
        if not any(queries(one, *_STATUS) for one in script.before(command)):
            what = "promotes without asking whether the replica is backing up; there is no way back"
            yield Hit(command.at, what)


def _control_plane(script: Script) -> Iterator[Hit]:
    leaves = any(one.name.startswith("AWS_") and "REGION" in one.name for one in script.assignments)
    if leaves or _replicas(script):
        for command in traffic_moves(script)[:1]:
            what = "the records' API is in us-east-1, which may be what is lost"
            yield Hit(command.at, what)


def _no_capacity(script: Script) -> Iterator[Hit]:
    if not _replicas(script) and "AWS_DEFAULT_REGION" not in script.text:
        return
    for call in kubectls(script, "scale"):
        if replicas_of(call) and not any(
            queries(o, *_CAPACITY) for o in script.before(call.command)
        ):
            what = "asks for pods without asking for nodes, quota and images there"
            yield Hit(call.command.at, what)
            return


def _is_message(command: Command) -> bool:
    return command.name in {"curl", "wget", "slack"} and bool(_MESSAGES.search(command.text))


def _told_last(script: Script) -> Iterator[Hit]:
    told = [one for one in script.commands if _is_message(one)]
    changed = [one for one in script.commands if aws(one) and not _is_message(one)]
    if told and changed and told[0].index > changed[-1].index:
        yield Hit(told[0].at, "people are told last, and only when everything has worked")


def _not_verified(script: Script) -> Iterator[Hit]:
    for command in traffic_moves(script)[-1:]:
        looks = [
            one
            for one in script.after(command)
            if one.name in {"dig", "host", "nslookup"}
            or (one.name in {"curl", "wget"} and url_of(one) and not _is_message(one))
        ]
        if not looks:
            yield Hit(command.at, "nobody calls the service through its name afterwards")


def _unpinned(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "apply", "create"):
        file = call.command.word("-f", "--filename", "-k")
        pinned = re.search(r"git .*(?:checkout|rev-parse|verify)", script.text)
        is_here = file and file.is_literal and not re.match(r"https?://|-$", file.text)
        if file and is_here and not pinned:
            what = f"applies {file.text[:60]} of whichever checkout this is"
            yield Hit(call.command.at, what)


RULES = (
    Rule(
        id="DR6551",
        title="The order loses data or the service",
        severity="error",
        reason="promote-read-replica answers long before the replica takes writes; an application"
        " that is started before meets a read-only database.",
        bad="kubectl scale deployment/app --replicas=5\n"
        "aws rds promote-read-replica --db-instance-identifier dr\n",
        good="aws rds promote-read-replica --db-instance-identifier dr\n"
        "aws rds wait db-instance-available --db-instance-identifier dr\n"
        "kubectl scale deployment/app --replicas=5\n",
        fix="The draft measures, fences, promotes, verifies, then starts and moves traffic.",
        find=_order,
    ),
    Rule(
        id="DR6552",
        title="The region that is left is not fenced",
        severity="error",
        reason="Most outages are partial. Both sides take writes, and one side's are lost.",
        bad="aws rds promote-read-replica --db-instance-identifier dr\n",
        good="aws rds stop-db-instance --db-instance-identifier old --region us-east-1\n"
        "aws rds promote-read-replica --db-instance-identifier dr\n",
        fix="The draft has aws.rds.fence before the promotion.",
        find=_no_fence,
    ),
    Rule(
        id="DR6553",
        title="The lag of the replica is not asked for",
        severity="error",
        reason="Replication across regions is asynchronous; nobody knows what is lost.",
        bad="aws rds promote-read-replica --db-instance-identifier dr\n",
        good="aws cloudwatch get-metric-statistics --metric-name ReplicaLag\n"
        "aws rds promote-read-replica --db-instance-identifier dr\n",
        fix="The draft measures the loss from the recovery side, with a witness.",
        find=_no_lag,
    ),
    Rule(
        id="DR6554",
        title="Promoted without a look, and without a way back",
        severity="warning",
        reason="AWS refuses while the replica is backing up, and the chain is broken for good.",
        bad="aws rds promote-read-replica --db-instance-identifier dr\n",
        good="aws rds wait db-instance-available --db-instance-identifier dr\n"
        "aws rds promote-read-replica --db-instance-identifier dr\n",
        fix="The promotion is a point of no return behind a gate, checked before and retried.",
        find=_no_precheck,
    ),
    Rule(
        id="DR6555",
        title="The traffic switch needs the region that is lost",
        severity="error",
        reason="Route 53's record API is hosted in us-east-1 and was impaired in its outages.",
        bad="export AWS_DEFAULT_REGION=us-west-2\n"
        "aws route53 change-resource-record-sets --hosted-zone-id $ZONE\n",
        good="export AWS_DEFAULT_REGION=us-west-2\naws s3api put-object --bucket switch --key on\n",
        fix="aws.route53.failover_switch.engage: records made beforehand, moved by a data plane.",
        find=_control_plane,
    ),
    Rule(
        id="DR6556",
        title="Capacity is taken for granted",
        severity="warning",
        reason="Everybody moves at once: nodes, quotas and images may not be there.",
        bad="export AWS_DEFAULT_REGION=us-west-2\nkubectl scale deployment/app --replicas=5\n",
        good="export AWS_DEFAULT_REGION=us-west-2\naws service-quotas get-service-quota\n"
        "kubectl scale deployment/app --replicas=5\n",
        fix="Add aws.servicequotas.assert and kubernetes.image.check; keep the standby warm.",
        find=_no_capacity,
    ),
    Rule(
        id="DR6558",
        title="People hear of it last",
        severity="warning",
        reason="One message, at the end, only on success, through one channel.",
        bad="aws rds promote-read-replica --db-instance-identifier dr\n"
        "curl -fsS --max-time 5 -d @m https://hooks.slack.com/x\n",
        good="curl -fsS --max-time 5 -d @m https://hooks.slack.com/x\n"
        "aws rds promote-read-replica --db-instance-identifier dr\n",
        fix="The draft tells people first, waits for no message, and tells them the end too.",
        find=_told_last,
    ),
    Rule(
        id="DR6559",
        title="Nobody looks after the switch",
        severity="error",
        reason="Whether customers are served is not known, and the way back is not written.",
        bad="aws route53 change-resource-record-sets --hosted-zone-id $ZONE\n",
        good="aws route53 change-resource-record-sets --hosted-zone-id $ZONE\n"
        "curl -f --max-time 5 https://api.example.net/health\n",
        fix="The draft ends with http.probe through the public name.",
        find=_not_verified,
    ),
    Rule(
        id="DR6560",
        title="Manifests of an unknown revision",
        severity="warning",
        reason="What is applied is what happens to lie on this machine.",
        bad="kubectl apply -f k8s/dr/\n",
        good="git checkout --detach $REVISION\nkubectl apply -f k8s/dr/\n",
        fix="kubernetes.manifests.apply takes pinned files and records their digest.",
        find=_unpinned,
    ),
)
