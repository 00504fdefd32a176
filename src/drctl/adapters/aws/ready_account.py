"""What a recovery needs of an AWS account: credentials that last, permissions, a right clock."""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import ClassVar

from drctl.actions.check import (
    Asked,
    Check,
    Prerequisite,
    Rung,
    Standing,
    at_risk,
    broken,
    holds,
)
from drctl.actions.contract import Context
from drctl.actions.errors import AuthRejected
from drctl.actions.targets import AwsConnection, Target
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.identity import _REACHED, connection_of
from drctl.adapters.aws.permissions import needed
from drctl.kernel.duration import format_duration

IAM_LIVES_IN = "us-east-1"
MARGIN_S = 600.0
"""A run may begin late; credentials must outlive it by that much."""
REFUSED_S = 300.0
"""AWS refuses a signature whose time is this far from its own clock."""
AT_ONCE = 50
"""Actions in one simulation."""
_WHERE_SKEW_BEGINS_S = 5.0
"""``Date`` has whole seconds, and the answer was under way; less than this is no skew."""


class _OfAnAccount(Check[Target]):
    """What is asked of the credentials, whatever the target is."""

    targets = _REACHED
    actions: ClassVar[tuple[str, ...]] = ("aws.*",)

    @staticmethod
    def connection(asked: Asked[Target]) -> AwsConnection:
        """The target's own."""
        found = connection_of(asked.target)
        if found is None:
            raise TypeError(f"{asked.name} has no AWS connection")
        return found


class CredentialsLast(_OfAnAccount):
    """They are accepted, and would still be at the end of a recovery."""

    name: ClassVar[str] = "aws.credentials"
    summary: ClassVar[str] = "AWS accepts the credentials; they outlive the RTO by ten minutes"
    rung: ClassVar[Rung] = Rung.DOOR

    def planes(self, target: Target) -> tuple[str, ...]:
        connection = connection_of(target)
        return (f"data-plane:{connection.region}",) if connection else ()

    def key(self, asked: Asked[Target]) -> Hashable:
        return (self.connection(asked).model_dump_json(), asked.rto_s)

    async def look(self, ctx: Context, asked: Asked[Target]) -> Sequence[Prerequisite]:
        connection = self.connection(asked)
        subject = f"credentials {connection.access_key_id} in {connection.region}"
        try:
            await Aws(ctx, connection).read("sts", "get_caller_identity")
        except AuthRejected as error:
            return [broken(subject, str(error), "renew them where the reference points")]
        if connection.session_token is None:
            return [holds(subject, "accepted; keys without an end")]
        needs = format_duration(asked.rto_s + MARGIN_S)
        return [
            Prerequisite(
                standing=Standing.UNPROVEN,
                subject=subject,
                why=f"accepted; AWS says to nobody when a session token ends: {needs} are needed",
                do="use keys of a user for emergencies, or renew the token before each run",
            )
        ]


class Permitted(_OfAnAccount):
    """
    IAM would let each call of the plan through, as it simulates it.

    What a simulation does not see: policies of the resource (a bucket's, a key's), and conditions
    whose values it is not given. So it finds what is missing, and proves nothing complete.
    """

    name: ClassVar[str] = "aws.permissions"
    summary: ClassVar[str] = "IAM's simulation allows every call that the plan would make"
    minds_absent: ClassVar[bool] = True
    minds_undo: ClassVar[bool] = True

    def planes(self, target: Target) -> tuple[str, ...]:
        return (f"control-plane:{IAM_LIVES_IN}",)

    async def look(self, ctx: Context, asked: Asked[Target]) -> Sequence[Prerequisite]:
        connection = self.connection(asked)
        aws = Aws(ctx, connection)
        arn = str((await aws.read("sts", "get_caller_identity"))["Arn"])
        wanted: dict[tuple[str, str], list[str]] = {}
        for use in asked.uses:
            for permission in needed(use.action, asked.target):
                wanted.setdefault(permission, []).append(use.step)
        subject = f"permissions of {arn.rpartition(':')[2]} on {asked.target.label}"
        if not wanted or arn.endswith(":root"):
            return [holds(subject, "the account's root may do everything")] if wanted else []
        denied: dict[str, list[str]] = {}
        for resource in dict.fromkeys(resource for _action, resource in wanted):
            names = [action for action, about in wanted if about == resource]
            for action, word in (await _simulate(aws, arn, names, resource)).items():
                if word != "allowed":
                    denied[f"{action} on {resource} ({word})"] = wanted[action, resource]
        if not denied:
            return [holds(subject, f"all {len(wanted)} are allowed, says IAM's simulation")]
        steps = tuple(dict.fromkeys(step for each in denied.values() for step in each))
        why = f"not allowed: {'; '.join(denied)}"
        do = "allow it in a policy of that user or role"
        return [
            Prerequisite(standing=Standing.NOT_READY, subject=subject, why=why, do=do, steps=steps)
        ]


async def _simulate(aws: Aws, arn: str, names: Sequence[str], resource: str) -> dict[str, str]:
    """Action to IAM's word for it."""
    found: dict[str, str] = {}
    for start in range(0, len(names), AT_ONCE):
        answer = await aws.read(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=_source(arn),
            ActionNames=list(names[start : start + AT_ONCE]),
            ResourceArns=[resource],
        )
        for one in answer["EvaluationResults"]:
            found[one["EvalActionName"]] = one["EvalDecision"]
    return {name: found.get(name, "not answered") for name in names}


def _source(arn: str) -> str:
    """Whose policies these are: of a session, its role's. A role's path is in no session's ARN."""
    if ":assumed-role/" not in arn:
        return arn
    head, _, rest = arn.replace(":sts:", ":iam:").partition(":assumed-role/")
    return f"{head}:role/{rest.partition('/')[0]}"


class ClockAgrees(_OfAnAccount):
    """The clock of this machine is near AWS's: five minutes off, and every call is refused."""

    name: ClassVar[str] = "aws.clock"
    summary: ClassVar[str] = "This machine's clock agrees with the Date of AWS's answers"

    def planes(self, target: Target) -> tuple[str, ...]:
        connection = connection_of(target)
        return (f"data-plane:{connection.region}",) if connection else ()

    def key(self, asked: Asked[Target]) -> Hashable:
        return self.connection(asked).region

    async def look(self, ctx: Context, asked: Asked[Target]) -> Sequence[Prerequisite]:
        connection = self.connection(asked)
        before = ctx.clock.now().wall
        answer = await Aws(ctx, connection).read("sts", "get_caller_identity")
        after = ctx.clock.now().wall
        subject = f"clock of this machine, against {connection.region}"
        said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        try:
            theirs = parsedate_to_datetime(said)
        except (TypeError, ValueError):
            why = "the answer has no Date"
            return [
                Prerequisite(
                    standing=Standing.CANNOT_TELL, subject=subject, why=why, do="ask again"
                )
            ]
        # It was written at some time between, and is cut to the second.
        early, late = before - timedelta(seconds=1) - theirs, after - theirs
        skew_s = max(early.total_seconds(), -late.total_seconds(), 0.0)
        word = "ahead" if early.total_seconds() > 0 else "behind"
        if skew_s < _WHERE_SKEW_BEGINS_S:
            return [holds(subject, "they agree to within five seconds", skew_s=skew_s)]
        why = f"it is {format_duration(skew_s)} {word}"
        do = "set it: chronyc makestep, timedatectl set-ntp true"
        say = broken if skew_s >= REFUSED_S else at_risk
        return [say(subject, why, do, skew_s=skew_s)]
