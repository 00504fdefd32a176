"""What each step must be like: its action, its target, its times, its expressions."""

from collections.abc import Mapping

from drctl.actions.contract import Effect
from drctl.actions.errors import WORDS
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.kernel.text import did_you_mean, sanitize
from drctl.kernel.yaml_tree import Path
from drctl.runbook.draft import Draft, Placed
from drctl.runbook.expressions import Scope, has_expression
from drctl.runbook.faults import ExpressionError
from drctl.runbook.include import INCLUDE, INCLUDING, check_include
from drctl.runbook.params import check_params
from drctl.runbook.scopes import Scopes
from drctl.runbook.values import CelType

_NOT_AT_A_GATE = ("target", "with", "timeout", "retry", "until", "every", "verify", "undo")


def check_steps(
    draft: Draft, registry: Registry, scopes: Scopes, environment: Mapping[str, Target] | None
) -> None:
    """
    Notes what is wrong with each step taken by itself: once of those that say the same, unless
    they speak of other steps, which each sees its own of.
    """
    sound: set[tuple[str, bool]] = set()
    for placed in draft.steps:
        same = (placed.body, placed.is_final)
        if same in sound and not has_expression(placed.step.title or ""):
            continue
        known = len(draft.problems)
        _check_step(draft, placed, registry, scopes, environment)
        is_sound = placed.body in draft.bodies and len(draft.problems) == known
        if is_sound and "steps" not in placed.body:
            sound.add(same)


def target_of(
    draft: Draft, alias: str | None, environment: Mapping[str, Target] | None
) -> tuple[str, Target | None]:
    """The family of the target behind an alias, empty when not known; the target, if known."""
    name = draft.targets.get(alias or "", "")
    return name.partition(".")[0], (environment or {}).get(name)


def probable_action(name: str, registry: Registry) -> AnyAction | None:
    """The action of that name, or the one that a misspelt name probably means."""
    if name == INCLUDE:
        return None
    if action := registry.get(name):
        return action
    near = did_you_mean(name, registry.names)
    return registry.get(near.split('"')[1]) if near else None


def check_targets(draft: Draft, environment: Mapping[str, Target] | None) -> None:
    """Notes names that the environment does not have."""
    for alias, name in draft.targets.items():
        if environment is not None and name and name not in environment:
            what = f'the environment has no target "{name}"{did_you_mean(name, environment)}'
            draft.say_at("DR1053", what, ("targets", alias))


def check_waivers(draft: Draft) -> None:
    """Notes waivers for steps that are not there."""
    ids = {placed.step.id for placed in draft.steps}
    for waiver, path in draft.waivers:
        if waiver.step is not None and waiver.step not in ids:
            near = did_you_mean(waiver.step, ids)
            what = f'there is no step "{sanitize(waiver.step, limit=80)}" to waive{near}'
            draft.say_at("DR1070", what, (*path, "step"))


def _check_step(
    draft: Draft,
    placed: Placed,
    registry: Registry,
    scopes: Scopes,
    environment: Mapping[str, Target] | None,
) -> None:
    step, path = placed.step, placed.path
    here = scopes.at(step.id)
    has_after = step.until is not None or step.undo is not None or step.verify
    after = scopes.after(step.id) if has_after else here
    for key in ("for_each", "max_parallel"):
        if placed.has(key):
            draft.say_key(
                "DR1090", f"{key} is not in this version; write the steps out", (*path, key)
            )
    _check_expressions(draft, placed, here, after)
    if placed.has("gate"):
        _check_gate(draft, placed)
        return
    if draft.lacks_key(placed, "uses"):
        draft.say("DR1015", "a step needs uses (an action) or gate", step.position)
        return
    if step.uses is None:
        return
    action = _action(draft, step.uses, (*path, "uses"), registry)
    if placed.has("show"):
        draft.say_key(
            "DR1015", "show is what an approver sees; it belongs to a gate", (*path, "show")
        )
    if action is not None:
        check_params(draft, action, step.with_, path, here)
        _check_own(draft, placed, action, environment)
    for call, where in placed.calls():
        called = _action(draft, call.uses, (*where, "uses"), registry)
        if called is not None:
            _check_target(draft, called, call.target, where, environment)
            check_params(draft, called, call.with_, where, after)
            _check_call(draft, called, where)


def _check_own(
    draft: Draft, placed: Placed, action: AnyAction, environment: Mapping[str, Target] | None
) -> None:
    if action is INCLUDING:
        check_include(draft, placed)
        return
    _check_target(draft, action, placed.step.target, placed.path, environment)
    _check_times(draft, placed, action)
    _check_manners(draft, placed, action)


def _check_gate(draft: Draft, placed: Placed) -> None:
    step, path = placed.step, placed.path
    if draft.has((*path, "uses")):
        draft.say_key("DR1015", "a step has uses or gate, not both", (*path, "gate"))
        return
    for key in _NOT_AT_A_GATE:
        if draft.has((*path, key)):
            why = "; expires_after of the gate bounds it" if key == "timeout" else ""
            draft.say_key("DR1015", f"a gate takes no {key}{why}", (*path, key))
    is_known = step.gate in draft.gates or "gates" in draft.unreadable
    if step.gate is not None and not is_known:
        near = did_you_mean(step.gate, draft.gates)
        what = f'there is no gate "{sanitize(step.gate, limit=80)}" under gates{near}'
        draft.say_at("DR1024", what, (*path, "gate"))
    if step.on_failure == "continue":
        draft.say_key("DR1063", "a gate cannot be passed by ignoring it", (*path, "on_failure"))


def _action(draft: Draft, name: str, path: Path, registry: Registry) -> AnyAction | None:
    if name == INCLUDE and path[-2:-1] != ("undo",) and "verify" not in path:
        return INCLUDING
    action = registry.get(name)
    if action is None:
        near = did_you_mean(name, registry.names)
        what = f'there is no action "{sanitize(name, limit=80)}"{near}'
        draft.say_at("DR1050", what, path)
    return action


def _check_target(
    draft: Draft,
    action: AnyAction,
    alias: str | None,
    path: Path,
    environment: Mapping[str, Target] | None,
) -> None:
    if not action.targets:
        if draft.has((*path, "target")):
            draft.say_key("DR1051", f"{action.name} takes no target", (*path, "target"))
        return
    if alias is None:
        if draft.lacks((*path, "target")):
            what = f"{action.name} needs a target ({_kinds(action)})"
            draft.say("DR1051", what, draft.place(path))
        return
    if alias not in draft.targets and "targets" not in draft.unreadable:
        near = did_you_mean(alias, draft.targets)
        what = f'there is no target "{sanitize(alias, limit=80)}" under targets{near}'
        draft.say_at("DR1025", what, (*path, "target"))
        return
    family, target = target_of(draft, alias, environment)
    if target is not None and not isinstance(target, action.targets):
        what = (
            f"{action.name} acts on {_kinds(action)}, and {draft.targets[alias]} is {target.kind}"
        )
        draft.say_at("DR1052", what, (*path, "target"))
    elif target is None and family and family not in (kind.family for kind in action.targets):
        wanted = " or ".join(sorted({kind.family for kind in action.targets}))
        what = f"{action.name} acts on {wanted}.*, and {alias} is {draft.targets[alias]}"
        draft.say_at("DR1052", what, (*path, "target"))


def _kinds(action: AnyAction) -> str:
    return " or ".join(sorted(str(kind.model_fields["kind"].default) for kind in action.targets))


def _check_times(draft: Draft, placed: Placed, action: AnyAction) -> None:
    step = placed.step
    if draft.lacks_key(placed, "timeout"):
        draft.say("DR1062", "a step that uses an action needs a timeout", step.position)
    if action.effect.changes_something and draft.lacks_key(placed, "estimate"):
        draft.say("DR1062", "a step that changes something needs an estimate", step.position)
    if step.estimate and step.timeout and step.estimate > step.timeout:
        where = (*placed.path, "estimate")
        draft.say_at("DR1062", "the estimate is longer than the timeout", where)


def _check_manners(draft: Draft, placed: Placed, action: AnyAction) -> None:
    step, path = placed.step, placed.path
    if step.on_failure == "continue" and action.effect.changes_something:
        what = f"{action.name} changes something; on_failure: continue is for reading and notifying"
        draft.say_at("DR1063", what, (*path, "on_failure"))
    if placed.has("until") and action.effect is not Effect.READ:
        what = f"until repeats the step, and {action.name} does not only read"
        draft.say_key("DR1065", what, (*path, "until"))
    for key, other in (("until", "every"), ("every", "until")):
        if placed.has(key) and draft.lacks_key(placed, other):
            draft.say_key("DR1065", f'"{key}" needs "{other}" beside it', (*path, key))
    for index, word in enumerate(step.retry.on_errors if step.retry else ()):
        if word not in WORDS:
            near = did_you_mean(word, WORDS) or f"; they are {', '.join(WORDS)}"
            what = f'"{sanitize(word, limit=80)}" is no kind of failure{near}'
            draft.say_at("DR1066", what, (*path, "retry", "on_errors", index))


def _check_call(draft: Draft, action: AnyAction, path: Path) -> None:
    if action.asks_person:
        what = f"{action.name} asks a person, and nobody asks here; make it a step of its own"
        draft.say_at("DR1067", what, (*path, "uses"))
    if path[-1] == "undo" and action.effect.is_irreversible:
        draft.say_at("DR1067", f"{action.name} has no way back; it undoes nothing", (*path, "uses"))
    if path[-1] != "undo" and action.effect not in {Effect.READ, Effect.CHANGE}:
        what = (
            f"a check looks, and at most writes a mark; {action.name} does more ({action.effect})"
        )
        draft.say_at("DR1067", what, (*path, "uses"))
    if path[-1] != "undo" and draft.lacks((*path, "timeout")):
        draft.say("DR1062", "a check needs a timeout", draft.place(path))


def _check_expressions(draft: Draft, placed: Placed, here: Scope, after: Scope) -> None:
    step, path = placed.step, placed.path
    bare = (("when", step.when, here), ("until", step.until, after))
    for key, text, scope in bare:
        if text is None:
            continue
        if "${{" in text:
            what = f"{key} is an expression already; leave ${{{{ }}}} out"
            draft.say_at("DR1040", what, (*path, key))
            continue
        try:
            scope.compile(text, wanted=CelType("bool"))
        except ExpressionError as error:
            draft.say_faults(error, (*path, key))
    texts: list[tuple[Path, str]] = [
        ((*path, "show", index), text) for index, text in enumerate(step.show)
    ]
    if step.title:
        texts.append(((*path, "title"), step.title))
    for where, text in texts:
        if not has_expression(text):
            continue
        try:
            here.template(text)
        except ExpressionError as error:
            draft.say_faults(error, where)
