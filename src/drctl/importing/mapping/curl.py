"""curl: messages to Slack and Statuspage, and probes."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from drctl.importing.mapping.step import Growing, Step, inert
from drctl.importing.script import Command
from drctl.importing.secrets import has_secret
from drctl.importing.tools import is_post, url_of

_STATUSES = {"investigating", "identified", "monitoring", "resolved"}
_IMPACTS = {"none", "maintenance", "minor", "major", "critical"}


def steps_of(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    """The steps that do what a call of curl is for; ``None`` when no action does."""
    text = command.text
    if is_post(command) and re.search(r"slack", text, re.IGNORECASE):
        return _slack(command, growing)
    if is_post(command) and "statuspage" in text and "/incidents" in text:
        return _statuspage(command, growing)
    url = url_of(command)
    if is_post(command) or url is None or not url.is_literal or has_secret(url.text):
        return None
    return _probe(url.text, growing)


def _sent(command: Command) -> Any:
    """The JSON that is sent, when it is written out."""
    word = command.word("-d", "--data", "--data-raw", "--data-binary", "--json")
    try:
        return json.loads(word.text) if word and word.is_literal else None
    except (ValueError, RecursionError):
        return None


def _slack(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    sent = _sent(command)
    text = sent.get("text") if isinstance(sent, dict) else None
    if not isinstance(text, str) or not text.strip() or has_secret(text):
        return None
    room = growing.target("room", "comms.incident_room", "slack.channel")
    return (
        Step(id=growing.id("tell_people"), title="Tell the incident room", phase="close",
             uses="slack.message.post", target=room, with_={"text": inert(text)[:2000]},
             timeout="10s", on_failure="continue"),
    )  # fmt: skip


def _statuspage(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    method = (command.value("-X", "--request") or "POST").upper()
    word = command.word("-d", "--data", "--data-raw", "--data-binary", "--json")
    if method != "POST" or word is None:
        return None
    name = re.search(r'"name":\s*"([^"$]+)"', word.text)
    impact = re.search(r'"impact_override":\s*"(\w+)"', word.text)
    with_: dict[str, Any] = {"name": inert(name[1]) if name else "Service disruption"}
    for given in growing.script.assignments:
        text = given.word.text if given.word and given.word.is_literal else ""
        if given.name == "STATUS" and text in _STATUSES:
            with_["status"] = "${{ inputs.status }}"
            growing.inputs["status"] = {
                "type": "string",
                "default": text,
                "enum": sorted(_STATUSES),
            }
        elif given.name == "MESSAGE" and text and not has_secret(text):
            with_["body"] = "${{ inputs.message }}"
    if impact and impact[1] in _IMPACTS:
        with_["impact"] = impact[1]
    page = growing.target("status", "comms.statuspage", "statuspage.page")
    return (
        Step(id=growing.id("open_incident"), title="Tell the customers", phase="tell",
             uses="statuspage.incident.open", target=page, with_=with_, timeout="20s",
             on_failure="continue",
             notes=("Later changes of state: statuspage.incident.update with this step's id.",)),
    )  # fmt: skip


def _probe(url: str, growing: Growing) -> tuple[Step, ...] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    for system in ("prometheus", "grafana"):
        if system in host:
            alias = growing.target(system, f"monitoring.{system}", f"{system}.server", host)
            return (
                Step(id=growing.id(f"{system}_works"), title=f"Does {system.title()} work?",
                     phase="public", uses=f"{system}.health", target=alias, timeout="30s"),
            )  # fmt: skip
    path = parts.path or "/"
    if not re.fullmatch(r"/[^\s#$]*", path) or "{{" in path:
        return None
    growing.public = True
    kind = "aws.route53.failover_switch or aws.route53.record"
    return (
        Step(id=growing.id(f"probe_{path.strip('/') or 'root'}"),
             title=f"Call {path[:60]} as customers do", phase="public", uses="http.probe",
             target=growing.target("public", "traffic.api", kind, host),
             with_={"path": path, "expect_status": 200, "require_tls": True}, timeout="30s"),
    )  # fmt: skip
