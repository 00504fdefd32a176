"""Deployments: what is rolled out, scaled and waited for (E7, E17, E28, E29, E33 to E38)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Command, Script
from drctl.importing.tools import Kubectl, kubectl, kubectls, queries, replicas_of

_CUTS = {"head", "tail", "awk", "cut", "sed", "grep"}


def _tty(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "exec", "run", "attach"):
        for word in call.command.words[1:]:
            if word.text == "--":
                break
            if re.fullmatch(r"-(?:it|ti|t)|--tty(?:=true)?", word.text):
                where = "an arbitrary pod" if "/" in call.command.text else "a pod"
                yield Hit(word.at, f"asks for a terminal, which a run has not, in {where}")
                break


def _waits(command: Command) -> bool:
    call = kubectl(command)
    return call is not None and call.verb in {"rollout status", "wait"}


def _no_rollout_wait(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "set env", "set image", "rollout restart"):
        for one in script.after(call.command):
            if _waits(one):
                break
            other = kubectl(one)
            if other is not None and other.verb in {"exec", "logs"}:
                what = f"kubectl {call.verb} restarts the pods; {other.verb} then meets an old one"
                yield Hit(call.command.at, what)
                break


def _zero(script: Script) -> list[Kubectl]:
    return [one for one in kubectls(script, "scale") if replicas_of(one) == 0]


def _no_wait_for_zero(script: Script) -> Iterator[Hit]:
    for call in _zero(script):
        after = script.after(call.command)
        if not any(_waits(one) or queries(one, r"get pods") for one in after[:3]):
            what = "scale --replicas=0 returns at once: pods, jobs and people still write"
            yield Hit(call.command.at, what)


def _fixed_replicas(script: Script) -> Iterator[Hit]:
    stopped = {one.name for one in _zero(script)}
    for call in kubectls(script, "scale"):
        number = replicas_of(call)
        if number and call.name in stopped:
            what = f"started with {number} replicas, not with as many as it had"
            yield Hit(call.command.flag_at("--replicas"), what)


def _revision_from_text(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "rollout history"):
        if any(one.name in _CUTS for one in script.piped_to(call.command)):
            what = "takes a revision out of a text for people; its last line is empty"
            yield Hit(call.command.at, what)


def _not_known_good(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "rollout undo"):
        revision = call.command.word("--to-revision")
        if revision is None or not revision.is_literal:
            what = "rolls back to a revision of which nobody knows that it ever worked"
            yield Hit(call.command.at, what)


def _greps_running(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "get"):
        for one in script.piped_to(call.command):
            if one.name == "grep" and "Running" in one.text:
                yield Hit(one.at, "true when any pod, old or new, ready or not, is Running")


def _falls_through(script: Script) -> Iterator[Hit]:
    seen: set[int] = set()
    for command in script.commands:
        for loop in command.loops:
            if loop.kind != "for" or loop.at.line in seen or command.name != "break":
                continue
            seen.add(loop.at.line)
            inside = [one for one in script.commands if any(loop is around for around in one.loops)]
            behind = script.after(inside[-1])[:2]
            waits = any(one.name == "sleep" for one in inside)
            if (
                waits
                and not loop.fails
                and not any(
                    one.name in {"exit", "false", "[", "return", "die", "fail"} for one in behind
                )
            ):
                yield Hit(
                    loop.at, "when the tries are used up, the script goes on as after success"
                )


def _scales_while_rolling_back(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "rollout undo"):
        for one in script.after(call.command):
            if _waits(one):
                break
            other = kubectl(one)
            if other and other.verb == "scale" and replicas_of(other) and other.name == call.name:
                yield Hit(one.at, "scales while the rollback is still under way")


def _tests_in_pod(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "exec"):
        if re.search(r"\b(?:pytest|unittest|jest|go test|rspec)\b", _inside(call)):
            yield Hit(call.command.at, "runs tests inside a pod that serves customers")


def _inside(call: Kubectl) -> str:
    return " ".join(word.text for word in call.inside)


def _follows_logs(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "logs"):
        if call.command.has("-f", "--follow") and not call.command.has_timeout:
            yield Hit(call.command.flag_at("-f", "--follow"), "follows the log: this never ends")
    for command in script.named("tail", "journalctl"):
        if command.has("-f", "-F", "--follow") and not command.has_timeout:
            yield Hit(command.at, f"{command.name} -f never ends")


RULES = (
    Rule(
        id="DR6507",
        title="A terminal is asked for in automation",
        severity="error",
        reason='Without a terminal kubectl says "Unable to use a TTY"; deployment/x is any pod of'
        " it, also one of the old revision.",
        bad="kubectl exec -it deployment/app -- id\n",
        good="kubectl exec pod-1 -- id\n",
        fix="kubernetes.pod.exec runs in a Ready pod of the present revision, without a terminal.",
        find=_tty,
    ),
    Rule(
        id="DR6517",
        title="A rollout is not waited for",
        severity="error",
        reason="set env restarts the pods one by one; what is verified next may be an old pod with"
        " the old database.",
        bad="kubectl set env deployment/app A=1\nkubectl exec app-1 -- check\n",
        good="kubectl set env deployment/app A=1\nkubectl rollout status deployment/app"
        " --timeout=3m\nkubectl exec app-1 -- check\n",
        fix="kubernetes.deployment.restart waits for the true end of the rollout.",
        find=_no_rollout_wait,
    ),
    Rule(
        id="DR6518",
        title="A log is followed",
        severity="error",
        reason="logs -f never ends, so the script hangs and the incident never closes.",
        bad="kubectl logs -f deployment/app | grep error\n",
        good="timeout 60 kubectl logs -f deployment/app | grep error\n",
        fix="postgres.monitor or prometheus.query.assert look for a bounded time at a number.",
        find=_follows_logs,
    ),
    Rule(
        id="DR6528",
        title="The application is not waited for when it stops",
        severity="error",
        reason="Scaling returns at once. Pods, CronJobs, workers and people still write into the"
        " database that is being restored.",
        bad="kubectl scale deployment/app --replicas=0\naws rds describe-db-instances\n",
        good="kubectl scale deployment/app --replicas=0\n"
        "kubectl wait --for=delete pod -l app=app --timeout=2m\n",
        fix="kubernetes.deployment.stop waits until the last pod is gone.",
        find=_no_wait_for_zero,
    ),
    Rule(
        id="DR6529",
        title="Started with a number that was made up",
        severity="warning",
        reason="It is not what was running before, and an autoscaler has its own idea.",
        bad="kubectl scale deployment/app --replicas=0\n"
        "kubectl scale deployment/app --replicas=3\n",
        good="kubectl scale deployment/app --replicas=0\n"
        'kubectl scale deployment/app --replicas="$BEFORE"\n',
        fix="kubernetes.deployment.start gives back what the stop noted.",
        find=_fixed_replicas,
    ),
    Rule(
        id="DR6533",
        title="A revision is cut out of a table",
        severity="error",
        reason="The output of rollout history ends with an empty line, so tail -2 | head -1 is the"
        " newest revision, the bad one, and undo to it says skipped and succeeds.",
        bad="V=$(kubectl rollout history deployment/app | tail -2 | head -1)\n",
        good="V=$(kubectl get replicasets -o json | jq -r .items[0].metadata.name)\n",
        fix="kubernetes.deployment.rollback reads ReplicaSets and takes one that is known good.",
        find=_revision_from_text,
    ),
    Rule(
        id="DR6534",
        title="Previous is not last known good",
        severity="error",
        reason="The revision before may be the one that failed too, or want another schema.",
        bad="kubectl rollout undo deployment/app\n",
        good="kubectl rollout undo deployment/app --to-revision=12\n",
        fix="kubernetes.deployment.rollback goes to the newest revision that was marked good.",
        find=_not_known_good,
    ),
    Rule(
        id="DR6535",
        title="Running is not ready",
        severity="error",
        reason="One pod that is Running, old, not ready, about to crash, is enough for grep.",
        bad="kubectl get pods | grep -q Running\n",
        good="kubectl rollout status deployment/app --timeout=2m\n",
        fix="kubernetes.deployment.wait: every replica updated, available and stable.",
        find=_greps_running,
    ),
    Rule(
        id="DR6536",
        title="A wait that gives up goes on as if it had succeeded",
        severity="error",
        reason="After the last try the loop just ends, and what follows meets a dead application.",
        bad="for i in 1 2 3; do\n  check && break\n  sleep 1\ndone\nkubectl get pods\n",
        good="for i in 1 2 3; do\n  check && break\n  [ $i = 3 ] && exit 1\n  sleep 1\ndone\n",
        fix="until and timeout: a wait that runs out is a failure.",
        find=_falls_through,
    ),
    Rule(
        id="DR6537",
        title="Scaled while it is rolled back",
        severity="warning",
        reason="Two changes at once, without a look at capacity or quota; nobody can tell which"
        " one helped.",
        bad="kubectl rollout undo deployment/app --to-revision=3\n"
        "kubectl scale deployment/app --replicas=5\n",
        good="kubectl rollout undo deployment/app --to-revision=3\n"
        "kubectl rollout status deployment/app\nkubectl scale deployment/app --replicas=5\n",
        fix="The rollback waits for its end; only then the next step starts.",
        find=_scales_while_rolling_back,
    ),
    Rule(
        id="DR6538",
        title="Tests run inside the production pod",
        severity="warning",
        reason="The image must carry the tests, and what is tested is not the way of a customer.",
        bad="kubectl exec app-1 -- python -m pytest tests/smoke\n",
        good="curl -f --max-time 5 https://api.example.net/health\n",
        fix="http.probe through the public name, as customers come.",
        find=_tests_in_pod,
    ),
)
