"""What a document shows besides its scripts: alerts and health checks (E50, E61, E62, E64)."""

import ast
import re
import warnings
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Script
from drctl.kernel.errors import Position
from drctl.kernel.yaml_text import read
from drctl.kernel.yaml_tree import ListNode, MapNode, Node, ScalarNode

_UP = re.compile(r"\bup\s*(?:\{[^}]*\})?\s*==\s*0")
_LITTLE = re.compile(r">=?\s*0?\.\d+\s*$")
_DEPENDENCY = re.compile(r"database|redis|cache|external|postgres|queue|disk|memory", re.IGNORECASE)
_PATH = re.compile(r"--health-check-path[ =][\"']?(/[\w/-]*)")
_MANY = 2


def _alerts(node: Node | None) -> Iterator[ScalarNode]:
    """The expression of every alert."""
    match node:
        case MapNode():
            expr = node.entries.get("expr")
            if "alert" in node.entries and isinstance(expr, ScalarNode):
                yield expr
            for one in node.entries.values():
                yield from _alerts(one)
        case ListNode():
            for one in node.items:
                yield from _alerts(one)


def _read(script: Script) -> Node | None:
    return read(script.text, file=script.file).root


def _at(script: Script, line: int, column: int) -> Position:
    return Position(script.file, script.lines[0][0] + line - 1, column)


def _vanished(script: Script) -> Iterator[Hit]:
    found = list(_alerts(_read(script)))
    if any(re.search(r"\babsent\w*\(", one.text) for one in found):
        return
    for one in found:
        if _UP.search(one.text):
            at = _at(script, one.position.line, one.position.column)
            yield Hit(at, "up == 0 is silent when what it watches has vanished from discovery")


def _no_share(script: Script) -> Iterator[Hit]:
    for one in _alerts(_read(script)):
        outside = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", one.text)
        if (
            "rate(" in outside
            and "5.." in one.text
            and "/" not in outside
            and _LITTLE.search(outside)
        ):
            at = _at(script, one.position.line, one.position.column)
            yield Hit(at, "errors a second of each series, not a share of the requests")


def _parsed(script: Script) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in a document is not our business
            return ast.parse(script.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _naive_clock(script: Script) -> Iterator[Hit]:
    for node in ast.walk(_parsed(script) or ast.Module(body=[], type_ignores=[])):
        if isinstance(node, ast.Attribute) and node.attr == "utcnow":
            yield Hit(_at(script, node.lineno, node.col_offset + 1), "a time without a zone")


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _deep_health(script: Script) -> Iterator[Hit]:
    used = set(_PATH.findall(script.document))
    for node in ast.walk(_parsed(script) or ast.Module(body=[], type_ignores=[])):
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        served = {
            one.value
            for decorator in node.decorator_list
            for one in ast.walk(decorator)
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        }
        asked = {
            text
            for one in ast.walk(node)
            if isinstance(one, ast.Call) and _DEPENDENCY.search(text := _called(one.func))
        }
        if served & used and len(asked) >= _MANY:
            path = min(served & used)
            what = f"{path} asks {len(asked)} dependencies, and a load balancer decides by it"
            yield Hit(_at(script, node.lineno, node.col_offset + 1), what)


_ALERT = "groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: %s\n"

RULES = (
    Rule(
        id="DR6550",
        title="One dependency takes every target out",
        severity="error",
        reason="When a load balancer asks the deep check, a slow cache or a full disk marks all"
        " targets unhealthy at once.",
        bad='@app.get("/health")\nasync def health():\n'
        "    return [await check_database(), await check_redis()]\n"
        "# aws elbv2 create-target-group --health-check-path /health\n",
        good='@app.get("/healthz")\nasync def healthz():\n    return "alive"\n'
        "# aws elbv2 create-target-group --health-check-path /healthz\n",
        fix="A shallow path for the load balancer; the deep one for drctl's probes only.",
        find=_deep_health,
        language="python",
    ),
    Rule(
        id="DR6561",
        title="An alert that what vanished does not raise",
        severity="error",
        reason="A target that is gone from discovery has no up at all, so nothing equals 0.",
        bad=_ALERT % "up{job='app'} == 0",
        good=_ALERT % "absent(up{job='app'} == 1)",
        fix="absent(up{…} == 1), or a count below what is wanted: prometheus.query.assert.",
        find=_vanished,
        language="yaml",
    ),
    Rule(
        id="DR6562",
        title="A rate that is taken for a share",
        severity="error",
        reason="0.5 errors a second is 50 % of one request a second, and nothing of a thousand.",
        bad=_ALERT % "rate(http_requests_total{status=~'5..'}[5m]) > 0.5",
        good=_ALERT
        % "sum(rate(http_requests_total{status=~'5..'}[5m])) / sum(rate(http_requests_total[5m]))"
        " > 0.5",
        fix="Errors divided by all, with a floor of traffic: prometheus.query.assert.",
        find=_no_share,
        language="yaml",
    ),
    Rule(
        id="DR6564",
        title="A time that nobody can place",
        severity="warning",
        reason="utcnow() has no zone; a reader in another one takes it for local time.",
        bad="from datetime import datetime\nnow = datetime.utcnow().isoformat()\n",
        good="from datetime import UTC, datetime\nnow = datetime.now(UTC).isoformat()\n",
        fix="Times with an offset; http.probe compares the clock with max_skew.",
        find=_naive_clock,
        language="python",
    ),
)
