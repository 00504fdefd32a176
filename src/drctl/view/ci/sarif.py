"""SARIF 2.1.0, which code scanning reads: what was found, by rule, with a place that stays."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from drctl import __version__
from drctl.kernel.text import sanitize
from drctl.view.ci.remark import Remark

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_OWN = "drctl/v1"


def as_sarif(remarks: Sequence[Remark], about: Callable[[str], str | None]) -> str:
    """
    The document.

    Args:
        remarks: What was found; what is in no file is left out, since a result needs a place.
        about: What `drctl explain` says of a rule, or ``None``.
    """
    placed = [one for one in remarks if one.file]
    levels = {one.rule: one.level for one in sorted(placed, key=lambda one: one.level == "error")}
    rules = sorted(levels)
    seen: Counter[tuple[str, ...]] = Counter()
    results = []
    for one in placed:
        seen[_same(one)] += 1
        results.append(_result(one, rules.index(one.rule), seen[_same(one)]))
    run = {
        "tool": {
            "driver": {
                "name": "drctl",
                "semanticVersion": __version__,
                "rules": [_rule(rule, levels[rule], about(rule)) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _rule(rule: str, level: str, about: str | None) -> Mapping[str, Any]:
    rule = sanitize(rule)
    text = sanitize(about or f"drctl explain {rule}", limit=5000, keep_lines=True)
    return {
        "id": rule,
        "shortDescription": {"text": _first_sentence(text)},
        "fullDescription": {"text": text},
        "help": {"text": f"{text}\n\nOn a terminal: drctl explain {rule}"},
        "defaultConfiguration": {"level": level},
    }


def _result(one: Remark, index: int, number: int) -> Mapping[str, Any]:
    same = "\0".join((*_same(one), str(number))).encode("utf-8", "backslashreplace")
    mark = hashlib.sha256(same).hexdigest()
    return {
        "ruleId": sanitize(one.rule),
        "ruleIndex": index,
        "level": one.level,
        "message": {"text": one.text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(one.file)},
                    "region": {"startLine": one.line, "startColumn": one.column},
                }
            }
        ],
        # Not of the line: a finding that moves down the file is the same finding.
        "partialFingerprints": {_OWN: mark, "primaryLocationLineHash": f"{mark[:16]}:{number}"},
    }


def _same(one: Remark) -> tuple[str, ...]:
    """What makes two results the same one, in two versions of a file."""
    return one.rule, one.file, one.step, sanitize(one.what)


def _uri(file: str) -> str:
    """A reference as SARIF wants it: relative to the repository where the file is in it."""
    path = quote(file.encode("utf-8", "surrogatepass"), safe="/")
    return f"file://{path}" if file.startswith("/") else path


def _first_sentence(text: str) -> str:
    return text.split(". ", maxsplit=1)[0].rstrip(".") + "."
