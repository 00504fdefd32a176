"""kubectl: what the installed actions of Kubernetes do instead."""

import re
from collections.abc import Callable

from drctl.importing.mapping.database import operator_promotion, writable
from drctl.importing.mapping.step import Growing, Step, snake
from drctl.importing.script import Command
from drctl.importing.secrets import has_secret
from drctl.importing.tools import Kubectl, kubectl, replicas_of, sets_database

_DEPLOYMENT = ("deploy", "deployment", "deployments", "deployments.apps", "deployment.apps")


def steps_of(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    """The steps that do what a call of kubectl is for; ``None`` when no action does."""
    call = kubectl(command)
    maker = _MAKERS.get(call.verb) if call else None
    return maker(call, growing) if call and maker else None


def _is_deployment(call: Kubectl) -> bool:
    return call.kind in _DEPLOYMENT and bool(call.name)


def _scale(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    word = call.command.word("--replicas")
    if not _is_deployment(call) or word is None:
        return None
    app, number = growing.app(call.name), replicas_of(call)
    if number == 0:
        growing.stopped.add(call.name)
        return (
            Step(id=growing.id("stop_" + app), title=f"Stop {call.name} until its last pod is gone",
                 phase="stop", uses="kubernetes.deployment.stop", target=app,
                 estimate="30s", timeout="3m"),
        )  # fmt: skip
    if call.name in growing.stopped:
        return (
            Step(id=growing.id("start_" + app), title=f"Start {call.name} with as many as it had",
                 phase="start", uses="kubernetes.deployment.start", target=app,
                 estimate="1m", timeout="4m"),
        )  # fmt: skip
    if number is None:
        return None
    name = "replicas" if app == "app" else f"{app}_replicas"
    growing.inputs.setdefault(name, {"type": "int", "default": number, "minimum": 1})
    return (
        Step(id=growing.id("scale_" + app), title=f"Give {call.name} its replicas",
             phase="start", uses="kubernetes.deployment.scale", target=app,
             with_={"replicas": f"${{{{ inputs.{name} }}}}"}, estimate="1m", timeout="4m"),
    )  # fmt: skip


def _set_env(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    if not (_is_deployment(call) and sets_database(call) and growing.endpoint):
        return None
    app = growing.app(call.name)
    return (
        Step(
            id=growing.id("repoint_" + app),
            title=f"Give {call.name} its new database",
            phase="lead",
            uses="kubernetes.secret.patch",
            target=app,
            with_={
                "name": f"{call.name}-db",
                "data": {"host": f"${{{{ steps.{growing.endpoint}.outputs.endpoint }}}}"},
            },
            estimate="10s",
            timeout="30s",
            notes=(
                "REVIEW: the name of the Secret from which the application reads its database.",
                "User and password stay in that Secret: no step carries them.",
            ),
        ),
        *(() if call.name in growing.stopped else (_restarted(call, growing, app),)),
    )


def _restarted(call: Kubectl, growing: Growing, app: str) -> Step:
    return Step(
        id=growing.id("rollout_" + app),
        title=f"Restart {call.name} and wait for all of it",
        phase="start",
        uses="kubernetes.deployment.restart",
        target=app,
        estimate="90s",
        timeout="3m",
    )


def _restart(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    if not _is_deployment(call):
        return None
    return (_restarted(call, growing, growing.app(call.name)),)


def _undo(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    if not _is_deployment(call):
        return None
    growing.has_order = True
    return (
        Step(id=growing.id("roll_back"), title=f"Roll {call.name} back to what is known good",
             phase="make", uses="kubernetes.deployment.rollback", target=growing.app(call.name),
             estimate="90s", timeout="4m"),
    )  # fmt: skip


def _history(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    if not _is_deployment(call):
        return None
    return (
        Step(id=growing.id("known_good"), title="Which revision is known to be good?", phase="look",
             uses="kubernetes.revision.check", target=growing.app(call.name), timeout="20s"),
    )  # fmt: skip


def _status(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    return (waited(growing, call.name),) if _is_deployment(call) else None


def waited(growing: Growing, called: str) -> Step:
    """Waits for the true end of a rollout."""
    return Step(
        id=growing.id("wait_for_pods"),
        title="Wait until every pod is new, ready and stays so",
        phase="check",
        uses="kubernetes.deployment.wait",
        target=growing.app(called),
        timeout="5m",
    )


def _get(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    if call.kind not in {"pod", "pods", "po"} or call.name:
        return None
    label = re.search(r"app(?:\.kubernetes\.io/name)?=([\w.-]+)", call.command.text)
    app = growing.app(label[1] if label else "")
    return (
        Step(id=growing.id("ready_pods"), title="Which pods are ready?", phase="look",
             uses="kubernetes.pods.list_ready", target=app, timeout="20s", on_failure="continue"),
    )  # fmt: skip


def _patch(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    text = call.command.text
    if re.search(r"hot_standby\W+off", text):
        return operator_promotion(growing, call.name)
    if call.kind in {"cronjob", "cronjobs", "cj"} and re.search(r"suspend\W+true", text):
        return (
            Step(id=growing.id(f"suspend_{snake(call.name)}"), title=f"Suspend the job {call.name}",
                 phase="stop", uses="kubernetes.cronjob.suspend", target=growing.app(""),
                 with_={"name": call.name}, estimate="10s", timeout="2m"),
        )  # fmt: skip
    return None


def _exec(call: Kubectl, growing: Growing) -> tuple[Step, ...] | None:
    inside = " ".join(word.text for word in call.inside)
    if re.search(r"pytest.*performance", inside):
        public = growing.target("public", "traffic.api", "aws.route53.failover_switch or .record")
        growing.public = True
        return (
            Step(id=growing.id("performance"), title="Is it as fast as it was?", phase="public",
                 uses="http.sample", target=public, with_={"path": "/health", "slow": "1s"},
                 timeout="1m", notes=("REVIEW: what is slow for this service.",)),
        )  # fmt: skip
    if re.search(r"asyncpg|psycopg|psql|sqlalchemy", inside) and re.search(r"(?i)select", inside):
        return writable(growing)
    argv = [growing.text(word) for word in call.inside]
    if not argv or None in argv or has_secret(inside) or not _is_deployment(call):
        return None
    return (
        Step(id=growing.id("in_pod"), title="Run a program in a ready pod", phase="check",
             uses="kubernetes.pod.exec", target=growing.app(call.name),
             with_={"command": argv, "does": f"what {call.inside[0].text[:60]} does in a pod"},
             estimate="30s", timeout="5m",
             notes=("REVIEW: nobody can tell what a program in a pod changes.",)),
    )  # fmt: skip


_MAKERS: dict[str, Callable[[Kubectl, Growing], tuple[Step, ...] | None]] = {
    "scale": _scale,
    "set env": _set_env,
    "rollout restart": _restart,
    "rollout undo": _undo,
    "rollout history": _history,
    "rollout status": _status,
    "get": _get,
    "patch": _patch,
    "exec": _exec,
}
