"""Every store that a scenario takes away comes back, or somebody has said why not."""

from collections.abc import Iterator

from drctl.config.stores import Store
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    environment = case.environment
    if environment is None:
        return
    for name, store in environment.stores.items():
        if case.plan.scenario in store.scenarios and not _is_touched(case, store):
            has = ", ".join(store.targets) or "no target that a step could act on"
            yield Found(
                what=f"no step brings back {name}"
                + (f" ({store.kind})" if store.kind != name else ""),
                store=name,
                at=str(store.position),
                why=f"{case.plan.scenario} takes it away; it has {has}",
            )


def _is_touched(case: Case, store: Store) -> bool:
    used = {call.target for step in case.work for call in (step.call, *step.verify) if call}
    if used.intersection(store.targets):
        return True
    theirs = {one for name in used if name for one in case.plan.targets[name].identities}
    known = case.environment.targets if case.environment else {}
    return any(theirs.intersection(known[name].identities) for name in store.targets)


RULE = Rule(
    id="DR6306",
    title="No store is forgotten",
    severity="error",
    reason="A failover that brings the database back and forgets the cache, the files, the"
    " secrets or the queues ends with a service that starts and does not work. The"
    " environment names its stores; each is acted on or looked at by a step, or waived.",
    bad="stores: {sessions: {kind: cache, targets: [cache.main]}}   # and no step has cache.main",
    good="- {id: files, uses: aws.s3.replication.assert, target: files, ...}\n"
    "waivers: [{rule: DR6306, store: sessions, reason: it only caches, until: 2027-03-31}]",
    fix="a step that brings it back or shows that it is there, or a waiver that names it (store:)",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
