"""Messages and probes by curl; checks that cannot fail (E65 to E68, E70 to E72)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Command, Script
from drctl.importing.tools import is_post, url_of

_SWALLOWS = {"echo", "true", ":", "printf"}
_CHECKS = {"curl", "wget", "psql", "pg_isready", "nc", "dig", "ping", "redis-cli", "kubectl", "aws"}
_LOCAL = re.compile(r"https?://(?:localhost|127\.|\[::1\])")
_SHORT_NAME = re.compile(r"https?://([a-z][a-z0-9-]*)(?::\d+)?(?:/|$)")


def _curls(script: Script) -> Iterator[Command]:
    return script.named("curl")


def _split_json(script: Script) -> Iterator[Hit]:
    for command in _curls(script):
        for word in command.words:
            if word.glued and re.search(r"[{:\[]", word.text):
                what = f"${word.glued.name} stands outside of the quotes: a blank splits the JSON"
                yield Hit(word.glued.at, what)
                break


def _always_new(script: Script) -> Iterator[Hit]:
    for command in _curls(script):
        url = url_of(command)
        method = (command.value("-X", "--request") or "").upper()
        if url and re.search(r"/incidents/?$", url.text) and method != "PATCH" and is_post(command):
            yield Hit(url.at, "every call makes another public incident")


def _fails_silently(command: Command) -> bool:
    short = any(re.fullmatch(r"-[a-zA-Z]*f[a-zA-Z]*", one) for one in command.args)
    checks = any("http_code" in one for one in command.args)
    return not short and not checks and not command.has("--fail", "--fail-with-body")


def _unseen_failure(script: Script) -> Iterator[Hit]:
    for command in _curls(script):
        if is_post(command) and _fails_silently(command):
            yield Hit(command.at, "curl without -f succeeds when the other side refuses")
    for secret in script.secrets:
        if "header" in secret.kind:
            yield Hit(secret.at, "the token stands in the arguments")


def _swallowed(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        if command.name in _CHECKS and command.or_else and command.or_else[0] in _SWALLOWS:
            what = f"{command.name} may fail: || {command.or_else[0]} makes that a success"
            yield Hit(command.at, what)


def _no_such_option(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        for word in command.words:
            if "pytest" in command.text and re.match(r"--duration(?:=|$)", word.text):
                yield Hit(word.at, "pytest has --durations, and refuses --duration: it never ran")


def _no_tls(script: Script) -> Iterator[Hit]:
    for command in script.named("curl", "wget"):
        url = url_of(command)
        if url is None or _LOCAL.match(url.text):
            continue
        if url.text.lower().startswith("http://") and "." in url.text.split("/")[2]:
            yield Hit(url.at, "http: what customers use, and its certificate, is not looked at")
        elif command.name == "curl" and not _has_limit(command):
            yield Hit(command.at, "curl without --max-time hangs with what it asks")


def _has_limit(command: Command) -> bool:
    return command.has_timeout or command.has("--max-time", "-m", "--connect-timeout")


def _vantage(script: Script) -> Iterator[Hit]:
    for command in script.named("curl", "wget"):
        url = url_of(command)
        found = _SHORT_NAME.match(url.text) if url else None
        if url and found and found[1] != "localhost":
            yield Hit(url.at, f'"{found[1]}" is a name inside the cluster; this runs outside')


RULES = (
    Rule(
        id="DR6565",
        title="JSON put together by quotes",
        severity="error",
        reason="Between two quoted pieces the value is bare: one blank in it, and curl gets several"
        " words, of which it takes the rest for addresses.",
        bad="curl -f -m 5 -d '{\"m\": \"'$MESSAGE'\"}' https://x.example.net/\n",
        good="jq -n --arg m \"$MESSAGE\" '{m: $m}' | curl -f -m 5 -d @- https://x.example.net/\n",
        fix="The adapter writes the JSON.",
        find=_split_json,
    ),
    Rule(
        id="DR6566",
        title="A new incident every time",
        severity="error",
        reason="Each change of state becomes another public incident; the first one stays open.",
        bad="curl -f -m 5 -X POST https://api.statuspage.io/v1/pages/p/incidents -d @i\n",
        good='curl -f -m 5 -X PATCH "https://api.statuspage.io/v1/pages/p/incidents/$ID" -d @i\n',
        fix="statuspage.incident.open once, statuspage.incident.update with its id after that.",
        find=_always_new,
    ),
    Rule(
        id="DR6567",
        title="A refused message looks sent",
        severity="error",
        reason="curl ends with 0 at 401 and 500; and a token in the arguments is for everybody.",
        bad="curl -m 5 -d @m https://hooks.example.net/\n",
        good="curl -f -m 5 -d @m https://hooks.example.net/\n",
        fix="The adapter checks the answer; the token is a reference of the environment.",
        find=_unseen_failure,
    ),
    Rule(
        id="DR6568",
        title="A check that cannot fail",
        severity="error",
        reason="|| echo makes every failure a success, and the script ends with complete.",
        bad='curl -f -m 5 https://x.example.net/ || echo "failed"\n',
        good="curl -f -m 5 https://x.example.net/ || exit 1\n",
        fix="A step whose check fails has failed, and so has the run.",
        find=_swallowed,
    ),
    Rule(
        id="DR6570",
        title="An option that does not exist",
        severity="error",
        reason="pytest refuses --duration=300, so this step can never have run: nobody drilled.",
        bad="python -m pytest tests/performance --duration=300\n",
        good="python -m pytest tests/performance --durations=10\n",
        fix="http.sample measures from outside, after service is restored.",
        find=_no_such_option,
    ),
    Rule(
        id="DR6571",
        title="A probe that is not what customers do",
        severity="warning",
        reason="Without TLS the certificate is not looked at; without a limit the probe hangs.",
        bad="curl -f http://api.example.net/health\n",
        good="curl -f --max-time 5 https://api.example.net/health\n",
        fix="http.probe has a timeout, and require_tls.",
        find=_no_tls,
    ),
    Rule(
        id="DR6572",
        title="A name that is only known inside",
        severity="warning",
        reason="On an operator's machine the name does not resolve, and the check tells nothing.",
        bad="curl -f -m 5 http://prometheus:9090/-/healthy\n",
        good="curl -f -m 5 https://prometheus.example.net/-/healthy\n",
        fix="Targets carry the address that works from where drctl runs.",
        find=_vantage,
    ),
)
