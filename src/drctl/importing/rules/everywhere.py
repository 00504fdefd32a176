"""What any script may lack: a stop at failure, a lock, a record, real names (E1 to E4, E8, E9)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Script
from drctl.importing.tools import awses, first_change, kubectls, queries

_PLACEHOLDER = re.compile(
    r"/path/to/\S*|\b(?:subnet|sg|vpc|i|ami|rtb|vol)-(?:12345678|87654321)\w*|\bZ0*123456789\w*\b"
    r"|\b(?:PAGE|COMPONENT|ACCOUNT|PROJECT|INCIDENT)_ID\b(?!=)|\b(?:CHANGE_?ME|FIXME|REPLACE_?ME)\b"
    r"|<[A-Z][A-Z_-]{2,}>|\bYOUR[-_][A-Z_]+\b|\b123456789012\b"
)
_TOOLS = ("kubectl", "oc", "aws", "curl", "psql", "pg_dump", "pg_restore", "patronictl", "gcloud")
_RECORD = {"tee", "logger", "script", "systemd-cat"}
_GITOPS = (r"argocd.*(?:--sync-policy|suspend|app\s+set)", r"\bflux\b.*\bsuspend", r"pause|paused")


def _stops(script: Script) -> bool:
    return any(
        one.name == "set" and any(re.fullmatch(r"-\w*e\w*|errexit", word) for word in one.args)
        for one in script.commands
    ) or bool(re.match(r"#!.*\bbash\s+-\w*e", script.text))


def _no_stop(script: Script) -> Iterator[Hit]:
    first = first_change(script)
    if first and not _stops(script) and len(script.commands) > 1:
        yield Hit(script.commands[0].at, "no set -e: a step that fails is followed by the next one")


def _no_lock(script: Script) -> Iterator[Hit]:
    first = first_change(script)
    if first and not any(one.name in {"flock", "lockfile", "mkdir"} for one in script.commands):
        yield Hit(first.at, "the first change: two people can run this at the same time")


def _no_record(script: Script) -> Iterator[Hit]:
    first = first_change(script)
    keeps = any(
        one.name in _RECORD or (one.name in {"exec", "{"} and one.redirects)
        for one in script.commands
    )
    traced = any(one.name == "set" and "-x" in " ".join(one.args) for one in script.commands)
    if first and not keeps and not traced and "tee" not in script.text:
        yield Hit(first.at, "the first change: nothing writes down who did what, and when")


def _placeholders(script: Script) -> Iterator[Hit]:
    seen: set[str] = set()
    for one in script.named(*_TOOLS):
        for word in one.words:
            found = _PLACEHOLDER.search(word.text)
            if found and found[0] not in seen:
                seen.add(found[0])
                yield Hit(word.at, f'"{found[0][:60]}" is an example, not a name of anything')
    for given in script.assignments if first_change(script) else ():
        found = _PLACEHOLDER.search(given.word.text) if given.word else None
        if found and found[0] not in seen:
            seen.add(found[0])
            yield Hit(given.at, f'{given.name} is an example, "{found[0][:60]}"')


def _ambient(script: Script) -> Iterator[Hit]:
    said = {one.name for one in script.assignments if one.is_exported}
    cube = (
        None
        if "KUBECONFIG" in said
        else next(
            (
                one
                for one in kubectls(script)
                if one.changes
                and not one.command.has("--context", "--kubeconfig", "--server", "-s")
            ),
            None,
        )
    )
    if cube:
        yield Hit(cube.command.at, f"kubectl {cube.verb} without --context: whichever is current")
    cloud = (
        None
        if said & {"AWS_REGION", "AWS_DEFAULT_REGION"}
        else next(
            (
                one
                for one in awses(script)
                if one.changes and not one.is_global and not one.command.has("--region")
            ),
            None,
        )
    )
    if cloud:
        yield Hit(cloud.command.at, f"aws {cloud.service} {cloud.operation} without --region")


def _fights_gitops(script: Script) -> Iterator[Hit]:
    calls = kubectls(script, "set env", "set image", "scale", "edit", "patch", "rollout undo")
    first = next((one for one in calls if one.kind.startswith(("deploy", "statefulset"))), None)
    if first and not any(queries(one, *_GITOPS) for one in script.before(first.command)):
        what = f"kubectl {first.verb} on a {first.kind} that Git or an autoscaler may own"
        yield Hit(first.command.at, what)


RULES = (
    Rule(
        id="DR6501",
        title="The script goes on after a failure",
        severity="error",
        reason="Without set -e the next line runs whatever became of this one: traffic moves to a"
        " database whose promotion failed.",
        bad="kubectl apply -f a.yaml\naws rds promote-read-replica --db-instance-identifier x\n",
        good="set -euo pipefail\nkubectl apply -f a.yaml\n"
        "aws rds promote-read-replica --db-instance-identifier x\n",
        fix="A step that fails pauses the run; on_failure says so for each step.",
        find=_no_stop,
    ),
    Rule(
        id="DR6502",
        title="Two people can run it at once",
        severity="warning",
        reason="Nothing locks what is changed, and no step is safe to repeat.",
        bad="kubectl scale deployment/app --replicas=3\n",
        good="exec 9>/run/lock/dr\nflock -n 9\nkubectl scale deployment/app --replicas=3\n",
        fix="A run takes a lease on everything that it may change; each step has a timeout.",
        find=_no_lock,
    ),
    Rule(
        id="DR6503",
        title="Nothing is recorded",
        severity="warning",
        reason="An access log has to say who did what, from where, and when.",
        bad="kubectl scale deployment/app --replicas=3\n",
        good="exec > >(tee -a /var/log/dr.log) 2>&1\nkubectl scale deployment/app --replicas=3\n",
        fix="A run keeps a chained journal with operator, host, role, time and request ids.",
        find=_no_record,
    ),
    Rule(
        id="DR6504",
        title="A name that is only an example",
        severity="error",
        reason="The script cannot run as it is written, and nothing checks that before the night.",
        bad="aws elbv2 create-load-balancer --subnets subnet-12345678\n",
        good='aws elbv2 create-load-balancer --subnets "$SUBNETS"\n',
        fix="Targets are names; what they stand for is in the environment, checked and pinned.",
        find=_placeholders,
    ),
    Rule(
        id="DR6508",
        title="What is changed depends on the terminal",
        severity="error",
        reason="The current context and the default region decide what is hit.",
        bad="kubectl delete pod x\n",
        good="kubectl --context dr-west delete pod x\n",
        fix="Each target names its cluster and region, and drctl asks who answers first.",
        find=_ambient,
    ),
    Rule(
        id="DR6509",
        title="A live change that Git takes back",
        severity="warning",
        reason="Argo CD and Flux undo live changes, and an autoscaler overrides scale.",
        bad="kubectl scale deployment/app --replicas=5\n",
        good="flux suspend kustomization app\nkubectl scale deployment/app --replicas=5\n",
        fix="Put argocd.application.pause or flux.kustomization.suspend before the change, and its"
        " counterpart after the recovery.",
        find=_fights_gitops,
    ),
)
