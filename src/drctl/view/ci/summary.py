"""The page that a pull request shows of a plan, or of what validation found."""

from collections.abc import Sequence

from drctl.kernel.duration import format_duration
from drctl.plan.graph import waves
from drctl.plan.model import Plan, PlannedStep
from drctl.plan.refusals import refusals
from drctl.view.ci.markdown import code, cut, plain, table
from drctl.view.ci.remark import Remark
from drctl.view.fate_text import ENDINGS

_MARKS = {"error": "❌ error", "warning": "⚠️ warning"}
_LEGEND = "`+` create · `~` change · `!` no way back · `>` moves traffic · `?` cannot tell"


def validation_summary(
    files: Sequence[str], remarks: Sequence[Remark], *, looked: bool = True
) -> str:
    """Markdown for `drctl validate`, and for a plan that an error ended before it *looked*."""
    ill = sum(1 for one in remarks if one.level == "error")
    verdict = f"❌ {ill} {_plural(ill, 'problem')}" if ill else "✅ valid"
    lines = [f"## {verdict}: {len(files)} {_plural(len(files), 'runbook')}", ""]
    lines += remarks_table(remarks)
    clean = [file for file in files if not any(one.file == file for one in remarks)]
    said = "Nothing to say about " if looked else "Not looked at: "
    lines += [said + ", ".join(map(code, clean)) + ".", ""] if clean else []
    return cut("\n".join(lines))


def plan_summary(plan: Plan, remarks: Sequence[Remark]) -> str:
    """Markdown for `drctl plan`: the verdict first, then why."""
    lines = [f"## {verdict(plan)}: {plain(plan.title)}", ""]
    lines += [
        f"{code(plan.runbook)} for environment {code(plan.environment)} ({plan.world})"
        + (", planned offline: nothing was looked at" if plan.is_offline else ""),
        "",
    ]
    lines += _numbers(plan)
    lines += remarks_table(remarks)
    lines += _waived(plan)
    lines += _fate(plan)
    lines += _waves(plan)
    lines += [f"Digest {code(plan.digest)}", ""]
    return cut("\n".join(lines))


def remarks_table(remarks: Sequence[Remark]) -> list[str]:
    """A table of what was found; empty when nothing was."""
    rows = [
        (
            _MARKS[one.level],
            code(one.rule),
            code(f"{one.file}:{one.line}") if one.file else "",
            code(one.step) if one.step else "",
            plain(one.what),
            plain(one.fix),
        )
        for one in remarks
    ]
    return table(("", "Rule", "Where", "Step", "What", "Do"), rows)


def verdict(plan: Plan) -> str:
    """The worst that is known of a run now, in a few words; that it fits only when nothing is."""
    found = refusals(plan)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return f"❌ a run now {ENDINGS[found[0].ending]}: {plain(found[0].what)}{more}"
    spare = plan.spare_s
    rto = format_duration(plan.objectives.rto_s)
    if spare < 0:
        return f"❌ misses the RTO of {rto} by {format_duration(-spare)}"
    ill = sum(1 for one in plan.findings if one.severity == "error")
    if ill:
        return f"❌ {ill} {_plural(ill, 'error')} that nobody waived"
    return f"✅ fits the RTO of {rto}, {format_duration(spare)} to spare"


def _numbers(plan: Plan) -> list[str]:
    objectives = plan.objectives
    changed = plan.changed_targets
    rows = [
        ("Forecast", _forecast(plan)),
        ("Critical path", " → ".join(map(code, plan.critical_path)) or "none"),
        ("Data loss if we go now", f"{_loss(plan)}, RPO {format_duration(objectives.rpo_s)}"),
        (
            "Changes",
            f"{len(changed)} of at most {plan.max_targets} things"
            + (": " + ", ".join(map(plain, changed)) if changed else ""),
        ),
        ("No way back after", ", ".join(map(code, _final(plan))) or "nothing"),
        ("People decide at", ", ".join(map(code, _gates(plan))) or "no gate"),
    ]
    return table(("", ""), [(f"**{name}**", value) for name, value in rows])


def _forecast(plan: Plan) -> str:
    objectives = plan.objectives
    before_s = plan.forecast.before_s if plan.forecast else 0.0
    total = f"{format_duration(objectives.rto_s - plan.spare_s)} of"
    detection = f", {format_duration(before_s)} of it detection" if before_s else ""
    return f"{total} {format_duration(objectives.rto_s)}{detection}"


def _fate(plan: Plan) -> list[str]:
    """Each call that fails with what is assumed down."""
    if plan.fate is None:
        return []
    down = ", ".join(f"{plain(place)} is {how}" for place, how in plan.fate.lost.items())
    calls = plan.fate.fails
    rows = [
        (code(one.step) if one.step else "", one.part, code(one.uses), plain(one.target),
         plain(one.why), plain(one.tolerated) if one.tolerated else "❌")
        for one in calls
    ]  # fmt: skip
    head = [f"Assumed: {down}. {len(calls)} {_plural(len(calls), 'call')} would fail.", ""]
    return head + table(("Step", "Part", "Uses", "Target", "Why", "Borne"), rows)


def _waived(plan: Plan) -> list[str]:
    """What the runbook says to findings, with its reasons."""
    rows = [
        (code(one.finding.id), code(one.finding.where) if one.finding.where else "",
         plain(one.finding.what), plain(one.reason), one.until)
        for one in plan.waived
    ]  # fmt: skip
    return table(("Waived", "Step", "What", "Because", "Until"), rows)


def _loss(plan: Plan) -> str:
    if plan.loss is None:
        return "not looked at" if plan.is_offline else "not measured before the run"
    if plan.loss.bound_s is None:
        return f"**unknown** ({plain(plan.loss.source)})"
    bound = f"at most {format_duration(plan.loss.bound_s)} of writes"
    is_within = plan.loss.bound_s <= plan.objectives.rpo_s
    return f"{bound} ({plain(plan.loss.source)})" if is_within else f"**{bound}: above the RPO**"


def _final(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps if step.effect.is_irreversible]


def _gates(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps if step.gate is not None]


def _waves(plan: Plan) -> list[str]:
    work = [step for step in plan.steps if not step.is_final]
    rows = [
        _row(plan, plan.by_id[name], str(number))
        for number, group in enumerate(waves(work), start=1)
        for name in group
    ]
    rows += [_row(plan, step, "finally") for step in plan.steps if step.is_final]
    steps = _plural(len(plan.steps), "step")
    head = [f"<details><summary>{len(plan.steps)} {steps} in waves</summary>", "", _LEGEND, ""]
    return [*head, *table(("Wave", "", "Step", "Uses", "Acts on", "What", "Takes"), rows),
            "</details>", ""]  # fmt: skip


def _row(plan: Plan, step: PlannedStep, wave: str) -> tuple[str, ...]:
    call, prediction = step.call, step.prediction
    uses = "a person decides" if call is None else code(call.uses)
    target = plain(plan.targets[call.target].label) if call and call.target else ""
    change = f"{plain(prediction.before)} → {plain(prediction.after)}"
    is_change = bool(prediction.before or prediction.after)
    name = code(step.id) + (" \\*" if step.id in plan.critical_path else "")
    return (
        wave,
        f"`{prediction.symbol}`" if prediction.symbol.strip() else "",
        name,
        uses,
        target,
        change if is_change else plain(prediction.why),
        format_duration(step.estimate_s) if step.estimate_s else "",
    )


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
