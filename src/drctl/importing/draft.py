"""The draft runbook: steps in an order that recovers, and above each what it came from."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drctl.importing.account import Account
from drctl.importing.mapping.step import PHASES, Growing, Outcome, Step, inert
from drctl.importing.rules import Finding
from drctl.importing.script import Script
from drctl.importing.secrets import unmasked
from drctl.importing.yaml_out import comment, entries, flow, scalar
from drctl.kernel.text import sanitize

_PROBE = "outputs.status == 200"
_STEP = re.compile(r"^.*?#+\s*(?:(?:step\s+)?\d+\s*[:.]\s*)?", re.IGNORECASE)
"""What stands before the words of a comment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What a recovery is measured against; durations as the language writes them."""

    rto: str
    rpo: str
    source: str
    """Who said so; empty when nobody did."""


def name_of(script: Script) -> str:
    """``kebab-case``, from the script's name."""
    found = re.sub(r"[^a-z0-9]+", "-", script.name.lower().removesuffix(".sh")).strip("-")[:60]
    return found.strip("-") or "imported"


def draft(
    script: Script,
    growing: Growing,
    outcomes: Mapping[int, Outcome],
    findings: Sequence[Finding],
    account: Account,
    objectives: Objectives,
) -> str:
    """
    The text of a draft runbook, or nothing when the script does nothing.

    No secret that `drctl.importing.secrets` recognises is in it: they were taken out beforehand,
    and `drctl.importing.yaml_out` looks again at each text that it writes.
    """
    steps = _ordered(_collected(script, growing, outcomes), growing)
    if not steps:
        return ""
    lines = [
        *_head(script, growing, account),
        "apiVersion: drctl/v1",
        "kind: Runbook",
        "metadata:",
        f"  name: {scalar(name_of(script))}",
        f"  title: {scalar(inert(sanitize(script.title or script.name, limit=100)))}",
        "  owner: REVIEW-who-keeps-this-true",
        "objectives:",
        *_objectives(objectives),
        f"  clock: {{starts_at: incident, stops_after: [{_proof(steps)}]}}",
    ]
    if growing.inputs:
        lines += ["inputs:", *entries(growing.inputs, 2)]
    if growing.targets:
        lines.append("targets:")
        lines += [f"  {alias}: {name}" for alias, (name, _, _) in growing.targets.items()]
    if growing.gates:
        lines += ["gates:", *entries(growing.gates, 2)]
    lines.append("steps:")
    for step, needs in _with_needs(steps):
        lines += [*_step(step, needs, script, findings), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _objectives(objectives: Objectives) -> list[str]:
    why = (
        f"    # {objectives.source}" if objectives.source else "    # REVIEW: the script says none"
    )
    return [f"  rto: {scalar(objectives.rto)}{why}", f"  rpo: {scalar(objectives.rpo)}{why}"]


def _head(script: Script, growing: Growing, account: Account) -> list[str]:
    first = script.lines[0][0] if script.lines else 1
    where = sanitize(f"{script.file}:{first}", limit=200)
    lines = [
        comment(f"A DRAFT, imported from {where} ({sanitize(script.name, limit=80)}). Review it."),
        comment(account.line),
        comment(
            "Secrets that drctl recognises are not in it; look for others before you share it."
        ),
    ]
    if growing.has_order:
        lines.append(
            comment("Steps are in the order that recovers, not in the order of the script.")
        )
    lines.append(comment("Estimates and timeouts are drctl's own; nothing was measured here."))
    if growing.targets:
        lines += [comment(""), comment("The environment has to have these targets:")]
        for name, kind, called in growing.targets.values():
            known = f'   "{sanitize(unmasked(called), limit=60)}" in the script' if called else ""
            lines.append(comment(f"  {name:<22} {kind}{known}"))
    return [*lines, comment("")]


def _collected(script: Script, growing: Growing, outcomes: Mapping[int, Outcome]) -> list[Step]:
    """Every step in the script's order, and those that no script of this kind may lack."""
    steps: list[Step] = []
    said: list[str] = []
    for statement in script.statements:
        outcome = outcomes[statement.index]
        if statement.kind == "comment":
            is_interpreter = statement.text.startswith("#!")
            found = "" if is_interpreter else _STEP.sub("", statement.text)
            said = [sanitize(unmasked(found), limit=120)] if found else said
            continue
        for place, step in enumerate(outcome.steps):
            notes = (f'"{said[0]}"', *step.notes) if said and place == 0 else step.notes
            steps.append(replace(step, statement=statement.index, notes=notes))
        said = said if outcome.fate == "dropped" else []
    if any(step.id == "tell_people" for step in steps):
        text = f"{script.title or script.name}: the recovery has begun"
        steps.insert(0, Step(id="announce", title="Say that it has begun", phase="tell",
                             uses="slack.message.post", target="room", untangled=True,
                             with_={"text": inert(sanitize(text, limit=200))}, timeout="10s",
                             on_failure="continue", added=True))  # fmt: skip
    if growing.has_order and not growing.public:
        known = next((one for one in ("switch", "name") if one in growing.targets), "public")
        growing.target(known, "traffic.api", "aws.route53.failover_switch or aws.route53.record")
        steps.append(Step(id="verify_public", title="Call the service as a customer would",
                          phase="public", uses="http.probe", target=known,
                          with_={"path": "/health"}, until=_PROBE, every="1s", timeout="90s",
                          added=True))  # fmt: skip
    return steps


def _ordered(steps: list[Step], growing: Growing) -> list[Step]:
    if not growing.has_order:
        return steps
    ranked: list[tuple[int, Step]] = []
    rank = PHASES.index("look")
    behind_gate = PHASES.index("fence") if growing.gates else 0
    for step in steps:
        if not step.is_review:
            ranked.append((PHASES.index(step.phase), step))
            # What nobody understood never goes before what stood before it.
            rank = rank if step.is_message else max(rank, PHASES.index(step.phase))
        else:
            may_change = step.uses == "shell.command"
            ranked.append((max(rank, behind_gate) if may_change else rank, step))
    return [step for _, step in sorted(ranked, key=lambda one: one[0])]


def _proof(steps: Sequence[Step]) -> str:
    """The step that proves service: the last probe, else the last that is no message."""
    public = [step.id for step in steps if step.phase == "public" and not step.is_review]
    others = [step.id for step in steps if not step.is_message]
    return (public or others or [steps[-1].id])[-1]


def _with_needs(steps: Sequence[Step]) -> Iterator[tuple[Step, list[str] | None]]:
    """Each step with its ``needs``, where it must not wait for the message above it."""
    above: Step | None = None
    last = ""
    for step in steps:
        needs: list[str] | None = None
        if step.untangled:
            needs = []
        elif above is not None and above.is_message:
            needs = [last] if last else []
        yield step, needs
        above = step
        last = last if step.is_message else step.id


def _step(
    step: Step, needs: list[str] | None, script: Script, findings: Sequence[Finding]
) -> Iterator[str]:
    yield from (comment(line, 2) for line in _origin(step, script, findings))
    yield f"  - id: {step.id}"
    yield f"    title: {scalar(inert(step.title))}"
    for key, value in (("uses", step.uses), ("gate", step.gate), ("target", step.target)):
        if value:
            yield f"    {key}: {scalar(value)}"
    if step.with_:
        yield from entries({"with": step.with_}, 4)
    if step.when:
        yield f"    when: {step.when}"
    if needs is not None:
        yield f"    needs: {flow(needs)}"
    for key, value in (
        ("until", step.until), ("every", step.every), ("estimate", step.estimate),
        ("timeout", step.timeout), ("on_failure", step.on_failure),
    ):  # fmt: skip
        if value:
            yield f"    {key}: {value}"
    if step.verify:
        yield "    verify:"
        yield from (f"      - {flow(one)}" for one in step.verify)
    if step.show:
        yield "    show:"
        yield from (f"      - {scalar(one)}" for one in step.show)


def _origin(step: Step, script: Script, findings: Sequence[Finding]) -> Iterator[str]:
    if step.added:
        yield "added: the script has none"
    if step.statement >= 0 and not step.added:
        at = script.statements[step.statement]
        ids = [one.id for one in findings if at.first_line <= one.at.line <= at.last_line]
        lines = f"{at.first_line}" + (f"-{at.last_line}" if at.last_line > at.first_line else "")
        yield f"line {lines}  {' '.join(dict.fromkeys(ids))}".rstrip()
    yield from step.notes
