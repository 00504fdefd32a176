"""A comparison of two plans as a comment on a pull request."""

import re
from collections.abc import Iterator

from drctl.plan.diff import Diff
from drctl.plan.diff_parts import NameChange, PartChange
from drctl.view.ci.markdown import code, cut, plain, table
from drctl.view.diff_words import change, forecast, notes, place

_SIGNS = {"+": "🆕", "-": "🗑️", "~": "✏️", ">": "🔀"}
"""No colours: what came may be bad, and what went may have been."""


def diff_markdown(found: Diff) -> str:
    """
    Markdown, verdict first. Its first line is a comment that is the same for a runbook and an
    environment, so that a bot can find the comment that it wrote before.
    """
    after = found.after
    mark = re.sub(r"-{2,}|[^\w. -]", "-", f"{after.runbook} {after.environment}", flags=re.ASCII)
    lines = [f"<!-- drctl plan diff {mark} -->", f"## {_headline(found)}: {plain(after.title)}", ""]
    lines += [f"{code(after.runbook)} for environment {code(after.environment)}", ""]
    lines += [f"_{plain(note)}_  " for note in notes(found)]
    lines += [""]
    if found.weaker:
        lines += ["### ⚠️ Weaker than before", ""]
        lines += [f"- {plain(sentence)}" for sentence in found.weaker] + [""]
    lines += _numbers(found)
    lines += _parts("Waivers", found.waivers)
    lines += _parts("Steps", found.steps)
    lines += _parts("Gates", found.gates)
    lines += _parts("People", found.people)
    lines += _parts("Targets", found.targets)
    lines += _parts("Pins", found.pins)
    lines += _parts("Seen otherwise (the world, not the change)", found.seen)
    return cut("\n".join(lines).rstrip() + "\n")


def _headline(found: Diff) -> str:
    if found.after.spare_s < 0:
        return "❌ The recovery misses its RTO"
    if found.after.has_errors:
        return "❌ The recovery has errors"
    if found.is_same:
        return "✅ The recovery is the same"
    return "⚠️ The recovery is weaker" if found.weaker else "✏️ The recovery changes"


def _numbers(found: Diff) -> list[str]:
    old, new = (
        " → ".join(map(code, plan.critical_path)) or "none" for plan in (found.before, found.after)
    )
    path = new if old == new else f"{new}<br>was {old}"
    rows = [("**Forecast**", plain(forecast(found))), ("**Critical path**", path)]
    sets = {
        "Changes": found.reach,
        "No way back after": found.no_way_back,
        "Planes needed": found.planes,
        "Findings": found.findings,
        "Code of actions": found.code,
    }
    rows += [(f"**{name}**", "<br>".join(_names(names))) for name, names in sets.items() if names]
    for field in found.whole:
        before, now = change(field)
        rows.append((f"**{plain(field.name)}**", f"{plain(before)} → {plain(now)}"))
    return table(("", ""), rows)


def _names(names: NameChange) -> Iterator[str]:
    for sign, ones in (("+", names.added), ("-", names.removed)):
        for one in ones:
            yield f"{_SIGNS[sign]} {plain(one)}"


def _parts(title: str, parts: tuple[PartChange, ...]) -> list[str]:
    rows = []
    for part in parts:
        about = ", ".join(text for text in (part.about, place(part)) if text)
        what = [plain(about)] if about else []
        for field in part.fields:
            before, now = change(field)
            what.append(f"{plain(field.name)}: {plain(before)} → {plain(now)}")
        rows.append((_SIGNS[part.sign], code(part.name), "<br>".join(what)))
    made = table(("", "", "What"), rows)
    return [f"### {title}", "", *made] if made else []
