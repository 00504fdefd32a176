"""Tree to models, part by part, so that a mistake costs only the part it is in."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from drctl.kernel.text import sanitize
from drctl.kernel.yaml_tree import ListNode, MapNode, Node, Path, ScalarNode
from drctl.runbook.draft import Draft, Placed
from drctl.runbook.models import EnvName, Gate, InputSpec, Metadata, Name, Objectives, Step, Waiver
from drctl.runbook.words import field_names, in_words, known_keys

M = TypeVar("M", bound=BaseModel)

API_VERSION = "drctl/v1"
KIND = "Runbook"
KEYS = (
    "apiVersion",
    "kind",
    "metadata",
    "objectives",
    "inputs",
    "targets",
    "gates",
    "steps",
    "finally",
    "waivers",
)
REQUIRED = ("apiVersion", "kind", "metadata", "objectives", "steps")

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_ENV_NAME: TypeAdapter[str] = TypeAdapter(EnvName)


def read_parts(draft: Draft) -> None:
    """Fills *draft* from its tree and notes every part that does not fit its model."""
    root = draft.page.values
    if not isinstance(root, dict):
        what = "a runbook is a mapping that starts with apiVersion and kind"
        draft.say("DR1012", what, draft.place(()))
        return
    for key in [key for key in root if key not in KEYS]:
        draft.say_unknown((key,), KEYS)
    for key in REQUIRED:
        if draft.lacks((key,)):
            draft.say("DR1011", f'"{key}" is missing', draft.place(()))
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if key in root and root[key] != wanted:
            draft.say_at("DR1012", f"{key} must be {wanted}", (key,))
    if draft.page.has_nulls:
        _nothing_is_null(draft, draft.page.tree, ())
    draft.metadata = _part(draft, Metadata, ("metadata",))
    draft.objectives = _part(draft, Objectives, ("objectives",))
    draft.inputs = _parts(draft, InputSpec, "inputs")
    draft.gates = _parts(draft, Gate, "gates")
    _targets(draft)
    _steps(draft, "steps")
    _steps(draft, "finally")
    _waivers(draft)


def _nothing_is_null(draft: Draft, node: Node, path: Path) -> None:
    match node:
        case MapNode():
            for key, value in node.entries.items():
                _nothing_is_null(draft, value, (*path, key))
        case ListNode():
            for index, item in enumerate(node.items):
                _nothing_is_null(draft, item, (*path, index))
        case ScalarNode(kind="null"):
            if isinstance(path[-1], str) and not node.is_broken:
                what = f'"{path[-1]}" has no value; give it one or remove the line'
                draft.say_key("DR1031", what, path)
            else:
                draft.say_at("DR1031", "an item without a value", path)


def _part(draft: Draft, model: type[M], path: Path, extra: Mapping[str, Any] = {}) -> M | None:
    """
    Reads one model from the mapping at *path*.

    What does not fit is noted and left out, then the rest is tried again; ``None`` when a required
    field is not there.
    """
    if not draft.has(path) and not isinstance(path[-1], int):
        return None
    value = draft.page.value(path)
    if not isinstance(value, dict):
        if value is not None:
            draft.say_at("DR1012", "this must be a mapping", path)
        return None
    return _model(draft, model, path, _given(draft, value), extra)


def _model(
    draft: Draft, model: type[M], path: Path, value: dict[str, Any], extra: Mapping[str, Any]
) -> M | None:
    """As `_part`, of what is written there; *extra* is what we add."""
    for key in [key for key in extra if key in value]:
        # `position` and the like are set by us; in the file they are keys like any unknown one.
        draft.say_unknown((*path, key), field_names(model) - set(extra))
    value = {**value, **extra}
    while True:
        try:
            return model.model_validate(value, by_alias=True, by_name=False)
        except ValidationError as error:
            value = _copied(value)  # what is written stays as it is
            if not _left_out(draft, model, path, value, error):
                return None


def _left_out(
    draft: Draft, model: type[BaseModel], path: Path, value: dict[str, Any], error: ValidationError
) -> bool:
    """Notes the errors and removes what they are about; false when nothing is left to try."""
    gone: set[Path] = set()
    # What is missing comes last: it may be what an unknown key was meant to be.
    for one in sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing"):
        where = _existing(value, one["loc"])
        here = (*path, *where)
        if one["type"] == "missing":
            if draft.lacks((*here, one["loc"][-1])):
                draft.say(*in_words(one, model), draft.place(here))
        elif one["type"] == "extra_forbidden":
            draft.say_unknown(here, known_keys(one, model))
        elif where not in gone and draft.page.value(here) is not None:
            # Once for a place: the other members of a union say the same in other words.
            draft.say_at(*in_words(one, model), here)
        gone.add(where)
    if () in gone:
        return False
    for where in sorted(gone, key=_last_first, reverse=True):
        _remove(value, where)
    return True


def _last_first(path: Path) -> list[tuple[int, str]]:
    """Sorts so that removing an item of a list does not move those that are still to go."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in path]


def _existing(value: Any, loc: tuple[int | str, ...]) -> Path:
    """The part of *loc* that leads through *value*: pydantic adds words of its own."""
    path: Path = ()
    for part in loc:
        is_item = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if not is_item and not (isinstance(value, dict) and part in value):
            break
        value = value[part]
        path = (*path, part)
    return path


def _remove(value: Any, path: Path) -> None:
    for part in path[:-1]:
        if not _existing(value, (part,)):
            return
        value = value[part]
    if _existing(value, path[-1:]):
        del value[path[-1]]


def _given(draft: Draft, value: dict[str, Any]) -> dict[str, Any]:
    """What is written, without what is left out."""
    given: dict[str, Any] = _copied(value) if draft.page.has_nulls else value
    return given


def _copied(value: Any) -> Any:
    """All of it, without keys that have no value."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items() if inner is not None}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _mapping(draft: Draft, key: str) -> dict[str, Any]:
    """The entries of the mapping under a top-level key; their names are checked."""
    if not draft.has((key,)):
        draft.unreadable |= {key} if (key,) in draft.meant else set()
        return {}
    value = draft.page.values[key]
    if not isinstance(value, dict):
        draft.unreadable.add(key)
        if value is not None:
            draft.say_at("DR1012", f"{key} must be a mapping of names", (key,))
        return {}
    for name in value:
        try:
            _NAME.validate_python(name)
        except ValidationError:
            what = f'"{sanitize(name, limit=80)}" is not a name: use snake_case'
            draft.say_key("DR1014", what, (key, name))
    return value


def _parts(draft: Draft, model: type[M], key: str) -> dict[str, M | None]:
    return {name: _part(draft, model, (key, name)) for name in _mapping(draft, key)}


def _targets(draft: Draft) -> None:
    for alias, name in _mapping(draft, "targets").items():
        try:
            draft.targets[alias] = _ENV_NAME.validate_python(name)
        except ValidationError:
            if name is not None:
                what = "a target is a name in the environment, family first, as in db.primary"
                draft.say_at("DR1012", what, ("targets", alias))
            draft.targets[alias] = ""


def _waivers(draft: Draft) -> None:
    if not draft.has(("waivers",)):
        return
    items = draft.page.values["waivers"]
    if not isinstance(items, list):
        if items is not None:
            draft.say_at("DR1012", "waivers must be a list", ("waivers",))
        return
    for index in range(len(items)):
        path: Path = ("waivers", index)
        waiver = _part(draft, Waiver, path, {"position": draft.page.key_position(path)})
        if waiver is not None:
            draft.waivers.append((waiver, path))


def _steps(draft: Draft, key: str) -> None:
    if not draft.has((key,)):
        return
    items = draft.page.values[key]
    if not isinstance(items, list) or not items:
        if items is not None:
            draft.say_at("DR1012", f"{key} must be a list of steps", (key,))
        return
    above: Step | None = None
    for index, item in enumerate(items):
        path: Path = (key, index)
        if not isinstance(item, dict):
            draft.say_at("DR1012", "a step is a mapping that starts with its id", path)
            continue
        body = _body(item)
        step = _step(draft, item, path, above, body)
        is_final = key == "finally"
        draft.steps.append(Placed(step=step, written=item, body=body, path=path, is_final=is_final))
        above = step


OWN = ("id", "title", "needs")


def _body(item: Mapping[str, Any]) -> str:
    """All that a step says but its name and its needs, as a key: a large runbook repeats it."""
    rest = dict(item)
    for key in OWN:
        rest.pop(key, None)
    return f"{'title' in item} {rest!r}"


def _is_named(item: Mapping[str, Any]) -> bool:
    """Whether what a step has for itself is what a step may have."""
    needs = item.get("needs", [])
    return (
        isinstance(item.get("id"), str)
        and isinstance(item.get("title", "-"), str)
        and item.get("title") != ""
        and isinstance(needs, list)
        and all(isinstance(need, str) for need in needs)
    )


def _step(draft: Draft, item: dict[str, Any], path: Path, above: Step | None, body: str) -> Step:
    written = _given(draft, item)
    extra: dict[str, Any] = {"position": draft.page.key_position(path)}
    default = (above.id,) if above else ()
    known, alike = len(draft.problems), draft.bodies.get(body)
    if alike is not None and _is_named(written):
        own = {key: written[key] for key in OWN if key in written}
        return alike.model_copy(update={**own, "needs": tuple(own.get("needs", default)), **extra})
    step = _model(draft, Step, path, {"needs": default, **written}, extra)
    # Of what is odd the page knows more than its values say.
    if step is not None and len(draft.problems) == known and not draft.page.is_odd:
        draft.bodies[body] = step
    if step is None:
        # Without a usable id it cannot be referred to, but everything else in it can be checked.
        extra["id"] = f"{path[0]}[{path[1]}]"
        without_id = {key: value for key, value in written.items() if key != "id"}
        step = _quiet(Step, _copied({**without_id, **extra}))
    is_said = "needs" in step.model_fields_set
    return step if is_said else step.model_copy(update={"needs": default})


def _quiet(model: type[M], value: dict[str, Any]) -> M:
    """Reads *value* again after its problems were noted."""
    while True:
        try:
            return model.model_validate(value, by_alias=True, by_name=False)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                _remove(value, _existing(value, one["loc"]))
