"""Building a load balancer at night (E39 to E50)."""

import json
import re
from collections.abc import Iterator
from typing import Any

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Script
from drctl.importing.tools import awses, kubectls, queries, traffic_moves

_WAITS = (r"wait load-balancer-available", r"wait target-in-service", r"describe-target-health")
_HOST = re.compile(r"[\w-]+\.[\w-]+\.elb\.amazonaws\.com|[\w-]+\.elb\.[\w-]+\.amazonaws\.com")


def records(text: str | None) -> list[dict[str, Any]]:
    """The record sets of a change batch; none when it is no JSON."""
    try:
        batch = json.loads(text or "")
        return [
            {"Action": one.get("Action"), **one["ResourceRecordSet"]} for one in batch["Changes"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _ignored(script: Script) -> Iterator[Hit]:
    for call in awses(script, "describe-load-balancers"):
        command = call.command
        makes = any(
            one.command.index > command.index for one in awses(script, "create-load-balancer")
        )
        used = command.captured_by is not None or command.pipe is not None or command.is_condition
        if makes and not used:
            yield Hit(command.at, "what it answers changes nothing: another one is built anyway")


def _no_listener(script: Script) -> Iterator[Hit]:
    for call in awses(script, "create-load-balancer"):
        if not list(awses(script, "create-listener")):
            yield Hit(call.command.at, "a load balancer without a listener serves nothing")


def _default_type(script: Script) -> Iterator[Hit]:
    for call in awses(script, "create-target-group"):
        pods = "kubectl get pod" in script.text
        if pods and not call.command.has("--target-type"):
            what = "its targets are instances by default; the addresses of pods are refused"
            yield Hit(call.command.at, what)


def _column(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "get"):
        form = call.command.value("-o", "--output") or "wide"
        for one in script.piped_to(call.command) if form == "wide" else ():
            if one.name in {"awk", "cut"} and re.search(r"\$\d|-f", one.text):
                what = "cuts a column out of a table for people: RESTARTS may be 3 (5m ago)"
                yield Hit(one.at, what)


def _pods_registered(script: Script) -> Iterator[Hit]:
    for call in awses(script, "register-targets"):
        if "kubectl get pod" in script.text:
            yield Hit(call.command.at, "registers pods by address: wrong at the next restart")


def _no_health_wait(script: Script) -> Iterator[Hit]:
    for call in awses(script, "create-load-balancer"):
        for moved in traffic_moves(script):
            between = script.commands[call.command.index : moved.index]
            if moved.index > call.command.index and not any(queries(o, *_WAITS) for o in between):
                what = "moves the name to a load balancer of which nobody knows that it serves"
                yield Hit(moved.at, what)


def _guessed_name(script: Script) -> Iterator[Hit]:
    for moved in traffic_moves(script):
        word = moved.word("--change-batch")
        found = _HOST.search(word.text) if word else None
        if found and word:
            yield Hit(word.at, f'"{found[0][:70]}" is written down, not what AWS has answered')


def _cname(script: Script) -> Iterator[Hit]:
    for moved in traffic_moves(script):
        word = moved.word("--change-batch")
        for record in records(word.text if word else None):
            if record.get("Type") == "CNAME" and record.get("Action") == "UPSERT" and word:
                what = "a CNAME is refused beside an A or alias record, and at an apex"
                yield Hit(word.at, what)


def _no_sync_wait(script: Script) -> Iterator[Hit]:
    for moved in traffic_moves(script):
        if not any(
            queries(one, r"INSYNC", r"resource-record-sets-changed", r"get-change")
            for one in script.after(moved)
        ):
            yield Hit(moved.at, "the answer is PENDING, and nobody waits for INSYNC")


def _built_at_night(script: Script) -> Iterator[Hit]:
    for call in awses(script, "create-load-balancer"):
        yield Hit(call.command.at, "builds with a control plane in the middle of an outage")


def _settings_lost(script: Script) -> Iterator[Hit]:
    for call in awses(script, "create-load-balancer"):
        if not list(awses(script, "modify-load-balancer-attributes", "associate-web-acl")):
            what = "access logs, WAF and attributes of the old one are not taken over"
            yield Hit(call.command.at, what)


_CREATE = "aws elbv2 create-load-balancer --name x"
_MOVE = "aws route53 change-resource-record-sets --hosted-zone-id $ZONE"
_BATCH = (
    '{"Changes":[{"Action":"UPSERT","ResourceRecordSet":{"Name":"a.b","Type":"%s","TTL":60,'
    '"ResourceRecords":[{"Value":"%s"}]}}]}'
)

RULES = (
    Rule(
        id="DR6539",
        title="The look changes nothing",
        severity="error",
        reason="The state of the load balancer is printed, and another one is built in any case.",
        bad=f"aws elbv2 describe-load-balancers --names x\n{_CREATE}\n",
        good=f"S=$(aws elbv2 describe-load-balancers --names x)\n{_CREATE}\necho $S\n",
        fix="The rebuild has a when: it is done only if the vendor and a probe agree.",
        find=_ignored,
    ),
    Rule(
        id="DR6540",
        title="No listener",
        severity="error",
        reason="Without create-listener the target group stays unused, and nothing is served.",
        bad=f"{_CREATE}\n",
        good=f"{_CREATE}\naws elbv2 create-listener --protocol HTTPS\n",
        fix="aws.elbv2.rebuild copies the listeners and certificates of the lost one.",
        find=_no_listener,
    ),
    Rule(
        id="DR6541",
        title="Targets of the wrong type",
        severity="error",
        reason="The default is instance; registering the addresses of pods then fails.",
        bad="kubectl get pods\naws elbv2 create-target-group --name x\n",
        good="kubectl get pods\naws elbv2 create-target-group --name x --target-type ip\n",
        fix="aws.elbv2.rebuild makes a target group of addresses.",
        find=_default_type,
    ),
    Rule(
        id="DR6542",
        title="A column of a table",
        severity="error",
        reason="After a restart the sixth column is ago), and of a pending pod it is <none>.",
        bad="kubectl get pods -o wide | awk '{print $6}'\n",
        good="kubectl get pods -o json | jq -r '.items[].status.podIP'\n",
        fix="kubernetes.pods.list_ready reads the API, and takes only ready pods.",
        find=_column,
    ),
    Rule(
        id="DR6543",
        title="Addresses of pods rot",
        severity="warning",
        reason="A pod that restarts has another address; the registration stays.",
        bad="kubectl get pods | while read ip; do\n"
        "  aws elbv2 register-targets --targets Id=$ip\ndone\n",
        good="kubectl apply --server-side -f https://git.example.net/target-group-binding.yaml\n",
        fix="The rebuild leaves a debt: a controller has to take the targets over.",
        find=_pods_registered,
    ),
    Rule(
        id="DR6544",
        title="Nobody waits for healthy targets",
        severity="error",
        reason="The name moves to a load balancer that is not active, with targets not in service.",
        bad=f"{_CREATE}\n{_MOVE}\n",
        good=f"{_CREATE}\naws elbv2 wait target-in-service --target-group-arn $TG\n{_MOVE}\n",
        fix="aws.elbv2.rebuild waits for healthy targets, and aws.elbv2.assert_serving proves it.",
        find=_no_health_wait,
    ),
    Rule(
        id="DR6545",
        title="A guessed name of a load balancer",
        severity="error",
        reason="AWS chooses part of the name; a guess leads to nothing.",
        bad=f"{_MOVE} --change-batch '{_BATCH % ('A', 'x-1.us-east-1.elb.amazonaws.com')}'\n",
        good=f'{_MOVE} --change-batch "$BATCH"\n',
        fix="The name is an output of the step that built it.",
        find=_guessed_name,
    ),
    Rule(
        id="DR6546",
        title="A CNAME over whatever is there",
        severity="error",
        reason="UPSERT replaces the same name and type only; beside an A record it is refused.",
        bad=f"{_MOVE} --change-batch '{_BATCH % ('CNAME', 'lb.example.net')}'\n",
        good=f"{_MOVE} --change-batch '{_BATCH % ('A', '192.0.2.1')}'\n",
        fix="An alias record; a change of type is one batch of DELETE and CREATE.",
        find=_cname,
    ),
    Rule(
        id="DR6547",
        title="A DNS change is not waited for",
        severity="error",
        reason="PENDING is no change yet, and resolvers keep the old answer for the old TTL.",
        bad=f"{_MOVE}\n",
        good=f"{_MOVE}\naws route53 wait resource-record-sets-changed --id $ID\n",
        fix="The action waits for INSYNC, and with outlast_caches for the old TTL.",
        find=_no_sync_wait,
    ),
    Rule(
        id="DR6548",
        title="Built when it is needed",
        severity="warning",
        reason="Creating is control-plane work, which fails more often than serving.",
        bad=f"{_CREATE}\n",
        good="aws elbv2 describe-load-balancers --names standby\n",
        fix="Keep a standby load balancer behind failover records; rebuild only as a last resort.",
        find=_built_at_night,
    ),
    Rule(
        id="DR6549",
        title="The settings of the old one are lost",
        severity="warning",
        reason="Zones, WAF, access logs and certificates are not those of the one that was lost.",
        bad=f"{_CREATE}\n",
        good=f"{_CREATE}\naws elbv2 modify-load-balancer-attributes --attributes $OLD\n",
        fix="aws.elbv2.rebuild copies the lost one, and names what it could not copy.",
        find=_settings_lost,
    ),
)
