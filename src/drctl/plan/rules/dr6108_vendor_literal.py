"""What a vendor calls a thing belongs into the environment."""

import re
from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule

SHAPES = (
    ("arn:aws", re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]+:"), "an ARN"),
    # Eight digits without a letter are more often a date than an old id.
    (
        "-",
        re.compile(
            r"\b(sg|subnet|vpc|eni|rtb|igw|ami|vol|snap|i)"
            r"-([0-9a-f]{17}|(?=[0-9]*[a-f])[0-9a-f]{8})\b"
        ),
        "an id of AWS",
    ),
    (
        "Z",
        re.compile(r"^/?(hostedzone/)?Z(?=[A-Z]*[0-9][A-Z]*[0-9])[0-9A-Z]{9,31}$"),
        "a hosted zone",
    ),
    (".amazonaws.com", re.compile(r"\b[a-z0-9.-]+\.amazonaws\.com\b"), "a host name of AWS"),
    (
        "projects/",
        re.compile(r"\bprojects/[a-z][a-z0-9-]{4,28}[a-z0-9]/"),
        "a resource name of Google Cloud",
    ),
)
"""What every such text has in it, which is soon seen; its shape; what it is."""


def _judge(case: Case) -> Iterator[Found]:
    seen = set()
    for step, _call, given in case.given:
        for name, text in given:
            kind = _kind(text) if isinstance(text, str) else None
            if kind is None or step.is_message:
                continue  # people read messages; a link is no target
            if (step.id, name, text) not in seen:
                seen.add((step.id, name, text))
                yield Found(
                    what=f"{step.id} has {kind} in with.{name}: a runbook names targets, and the"
                    " environment says what they are",
                    step=step,
                )
    for name, spec in case.runbook.inputs.items():
        if isinstance(spec.default, str):
            kind = _kind(spec.default)
            if kind is not None:
                yield Found(what=f"the default of {name} is {kind}", place=f"inputs.{name}")


def _kind(text: str) -> str | None:
    for sign, shape, kind in SHAPES:
        if sign in text and shape.search(text):
            return kind
    return None


RULE = Rule(
    id="DR6108",
    title="No vendor's literal in a runbook",
    severity="warning",
    reason="An id in a runbook is right in one account only, is pinned by nothing, and is wrong"
    " after the first rebuild. In the environment it is written once, checked, and pinned.",
    bad='uses: shell.command\nwith: {argv: [aws, elbv2, delete, "arn:aws:elasticloadbalancing:…"]}',
    good="uses: aws.elbv2.delete\ntarget: lb    # targets: {lb: lb.primary}",
    fix="name it under targets of the environment",
    judge=_judge,
)
