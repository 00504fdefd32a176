"""Finds secrets that somebody wrote down: by their name, by their shape, by their noise."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from drctl.kernel.yaml_tree import MapNode, Node, ScalarNode
from drctl.runbook.draft import Draft
from drctl.runbook.expressions import has_expression

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_NAMES = {
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
    "dsn",
}
_PAIRS = {("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key"), ("auth", "key")}
_REFERENCE = re.compile(r"(env|file|aws-sm|k8s):\S+")
PLACE = r"(?:~|\.{1,2}|/(?:dev|etc|home|mnt|opt|root|run|secrets|srv|tmp|usr|var|vault))/"
"""How the name of a file begins: it says where a secret is, and is none."""

_SHAPES = (
    (re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|-----BEGIN "), "a private key or certificate"),
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,40}://[^\s/:@]*:[^\s/@$]+@"), "a URL with a password in it"),
    (
        re.compile(
            rf"\b(password|passwd|pwd|secret)\s*=\s*[\\\"']*"
            rf"(?!{_REFERENCE.pattern}|{PLACE})[^\s$;,\\\"'][^\s$;,]*",
            re.IGNORECASE,
        ),
        "a password",
    ),
    (re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{8,}"), "a Slack token"),
    (re.compile(r"hooks\.slack\.com/services/\S+"), "a Slack webhook"),
    (re.compile(r"\b(gh[opsu]_[0-9A-Za-z]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,})"), "a token"),
    (re.compile(r"\beyJ[\w-]{8,4000}\.[\w-]{8,4000}\.[\w-]*"), "a JSON web token"),
    (re.compile(r"\bBearer\s+[\w.~+/-]{12,}", re.IGNORECASE), "a bearer token"),
)
_HINTS = (
    *("akia", "asia", "-----begin", "://", "=", "xox", "hooks.slack", "gho_", "ghp_", "ghs_"),
    *("ghu_", "github_pat_", "glpat-", "eyj", "bearer"),
)
"""Every shape above has one of these in it, in letters of any size: most texts have none, and to
find that out takes a tenth of what a pattern of them all takes."""
_SHORTEST_OF_LETTERS = 20
"""Every shape but an AWS access key, which is as long, has something else than letters and digits
in it: most texts of a large runbook are names of steps."""
_NOISE_LENGTH = 20
_NOISE = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_AWS_LENGTH = 40
"""A secret access key; some have a single digit."""
_NOISE_BITS = 3.8
"""Bits per character: words and ids in camelCase stay below 3.7, random base64 of 20 characters
lies above 3.9."""


def check_literals(draft: Draft) -> None:
    """Notes every scalar that looks like a secret. The text itself is never repeated."""
    leaves = () if draft.page.is_odd else _leaves([draft.page.values])
    if leaves and not any(_kind(key, str(value)) for key, value in leaves):
        return  # nearly always, and then nobody asks for places
    harmless: set[tuple[str, str]] = set()
    left: list[Iterable[tuple[str, Node]]] = [[("", draft.page.tree)]]
    while left:
        for key, node in left.pop():
            if isinstance(node, ScalarNode):
                if (key, node.text) not in harmless:
                    kind = _kind(key, node.text)
                    if kind is None:
                        harmless.add((key, node.text))
                    elif not node.is_broken:
                        _say(draft, kind, node)
            elif isinstance(node, MapNode):
                left.append(node.entries.items())
            else:
                left.append([(key, item) for item in node.items])


def _leaves(values: Any) -> dict[tuple[str, Any], None]:
    """Every scalar with the key it stands under, once: a large runbook says most things often."""
    found: dict[tuple[str, Any], None] = {}
    left: list[tuple[str, Any]] = [("", values)]
    while left:
        name, inside = left.pop()
        pairs = inside.items() if isinstance(inside, dict) else [(name, item) for item in inside]
        for pair in pairs:
            kind = type(pair[1])
            if kind is dict or kind is list:
                left.append(pair)
            else:
                found[pair] = None
    return found


def _say(draft: Draft, kind: str, node: ScalarNode) -> None:
    what = f"this looks like {kind}: a runbook holds no secrets; name them in the environment"
    draft.say("DR1030", what, node.position)
    draft.secrets.add(node.position)


def _kind(key: str, text: str) -> str | None:
    return _by_shape(text) or _by_name(key, text) or _by_noise(text)


def secret_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of everything in *text* that looks like a secret by shape or noise."""
    for shape, kind in _SHAPES:
        for found in shape.finditer(text):
            yield found.start(), found.end(), kind
    for run in _NOISE.finditer(text):
        if _is_noise(run[0]):
            yield run.start(), run.end(), "a random key"


def _by_shape(text: str) -> str | None:
    if len(text) < _SHORTEST_OF_LETTERS and text.isalnum():
        return None
    if not any(map(text.lower().__contains__, _HINTS)):
        return None
    return next((kind for shape, kind in _SHAPES if shape.search(text)), None)


def _by_name(key: str, text: str) -> str | None:
    if not text or not _is_secret(key):
        return None
    is_said = has_expression(text) or _REFERENCE.fullmatch(text)
    return None if is_said else f'a literal "{key}"'


def _by_noise(text: str) -> str | None:
    return "a random key" if len(text) >= _NOISE_LENGTH and _is_noise(text) else None


@lru_cache(maxsize=4096)
def _is_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    return bool(words) and (words[-1] in _NAMES or tuple(words[-2:]) in _PAIRS)


def _is_noise(text: str) -> bool:
    return any(
        _bits(run[0]) >= _NOISE_BITS
        and re.search("[a-z]", run[0])
        and re.search("[A-Z]", run[0])
        and len(re.findall("[0-9]", run[0])) > (len(run[0]) != _AWS_LENGTH)
        for run in _NOISE.finditer(text)
    )


def _bits(text: str) -> float:
    """Shannon entropy per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
