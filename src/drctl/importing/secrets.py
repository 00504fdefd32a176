"""
Takes secrets out of a text before anything else reads it.

Each character of a secret becomes `MASK`, so every other character keeps its line and column; what
is written later turns a run of masks into the name of a reference. Nothing behind this file can
copy a secret into a draft or a report, because nothing behind it has one. In doubt it masks: a word
too many costs a person a look, one too few costs a rotation.
"""

import re
from collections.abc import Iterator

from drctl.kernel.errors import Position
from drctl.runbook.literals import secret_spans

MASK = "\u2022"
"""A bullet: no shell, YAML or JSON gives it a meaning."""
PERHAPS = "perhaps a secret"
"""By its name only: masked, and no finding."""
DOUBTFUL = {PERHAPS, "a random key", "a private key or certificate"}
"""Kinds that are masked, and may well be none: a digest, a public key."""
_MASKED = re.compile(f"{MASK}+")

_NAME = r"(?:[A-Za-z0-9_.-]{0,60}(?:password|passwd|passphrase|secret|token|api_?key|credential)s?)"
_LITERAL = r"(?P<secret>(?!\$|<|env:|file:|aws-sm:|k8s:)[^\s\"'`$;&|,{}()\[\]\u2022]+)"
_QUOTED = r"(?P<secret>(?!\$)[^\s\"'\u2022$][^\"'\u2022\n$]*)"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"\b[a-z][a-z0-9+.-]{0,40}://[^\s/:@\"']*:(?P<secret>[^\s/@\"'$\u2022]+)@",
            re.IGNORECASE,
        ),
        "a password in a URL",
    ),
    (
        re.compile(
            r"\bAuthorization:\s*(?:OAuth|Bearer|Basic|Token|ApiKey)\s+(?P<secret>[^\s\"'$\u2022]+)",
            re.IGNORECASE,
        ),
        "a token in a header",
    ),
    (re.compile(r"\bBearer\s+(?P<secret>[\w.~+/=-]{8,})", re.IGNORECASE), "a bearer token"),
    (re.compile(r"hooks\.slack\.com/services/(?P<secret>[^\s\"'$\u2022]+)"), "a Slack webhook"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----\s*(?P<secret>.*?)(?=-----END|\Z)", re.DOTALL
        ),
        "a private key",
    ),
    (re.compile(rf"(?i)\b{_NAME}[\"']?\s*[=:]\s*[\"']{_QUOTED}[\"']"), "a literal secret"),
    (re.compile(rf"(?i)\b{_NAME}=[\"']?{_LITERAL}"), "a literal secret"),
    (re.compile(rf"(?i)--{_NAME}[ =][\"']?(?!-){_LITERAL}"), "a literal secret"),
    (
        re.compile(rf"(?i)\b(?:sshpass|mysql|mysqldump)\b[^\n]{{0,200}}?\s-p\s?[\"']?{_LITERAL}"),
        "a password",
    ),
    (
        re.compile(r"\s(?:-u|--user)[ =][\"']?[^\s:\"']+:(?P<secret>[^\s\"'$\u2022]+)"),
        "a password",
    ),
    (re.compile(rf"(?i)\bPGPASS(?:WORD)?=[\"']?{_LITERAL}"), "a password"),
)


class Masked:
    """A text without its secrets, and where they stood."""

    def __init__(self, text: str, file: str) -> None:
        spans: dict[tuple[int, int], str] = {}
        for start, end, kind in _found(text):
            if not any(a < end and start < b for a, b in spans):
                spans[start, end] = kind
        out = list(text)
        for start, end in spans:
            for place in range(start, end):
                if out[place] != "\n":
                    out[place] = MASK
        self.text = "".join(out)
        self.found: tuple[tuple[Position, str], ...] = tuple(
            (_position(text, start, file), spans[start, end]) for start, end in sorted(spans)
        )


def unmasked(text: str, name: str = "SECRET") -> str:
    """Writes ``$NAME`` where a secret stood."""
    return _MASKED.sub(lambda _: f"${name}", text)


def has_secret(text: str) -> bool:
    """True where a secret stood in *text*."""
    return MASK in text


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    for pattern, kind in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span("secret")
            if end > start and set(text[start:end]) != {MASK}:
                is_doubtful = kind == "a literal secret" and re.search(r"[\s/]", text[start:end])
                yield start, end, PERHAPS if is_doubtful else kind
    yield from secret_spans(text)


def _position(text: str, offset: int, file: str) -> Position:
    line = text.count("\n", 0, offset) + 1
    return Position(file, line, offset - (text.rfind("\n", 0, offset) + 1) + 1)
