"""The editor schema: JSON Schema draft-07, from the models and the installed actions."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from pydantic import BaseModel

from drctl.actions.registry import AnyAction, Registry
from drctl.runbook.include import INCLUDING, ITS_OWN
from drctl.runbook.models import Runbook, Step
from drctl.runbook.read import API_VERSION, KIND

Schema: TypeAlias = dict[str, Any]

_REF = "#/definitions/{model}"
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$",
    "examples": ["4m30s"],
}
_EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{\{"}
_ID: Schema = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}


def text(registry: Registry) -> str:
    """The schema as the file that is checked in: the same text for the same actions."""
    return json.dumps(schema(registry), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def schema(registry: Registry) -> Schema:
    """
    Builds the schema.

    Each action has its own ``if``/``then`` on ``uses``: with a ``oneOf`` an editor can only say
    that nothing fits, not what is wrong with the action that is written.
    """
    root = Runbook.model_json_schema(by_alias=True, ref_template=_REF)
    definitions = {name: _clean(one) for name, one in root.pop("$defs").items()}
    del definitions["Position"]
    root = _clean(root)
    for model in _models(Runbook):
        found = root if model is Runbook else definitions.get(model.__name__)
        if found is not None:
            _describe(found, model)
    definitions["Expression"] = dict(_EXPRESSION)
    steps: list[AnyAction] = sorted([*registry, INCLUDING], key=lambda action: action.name)
    for name in ("Step", "Call"):
        one = definitions[name]
        known = steps if name == "Step" else list(registry)
        one["properties"]["uses"] |= {"type": "string", "enum": [a.name for a in known]}
        one["allOf"] = [_rule(a, definitions, is_step=name == "Step") for a in known]
    step = definitions["Step"]
    step["properties"]["id"] |= _ID
    step["oneOf"] = [{"required": ["uses"]}, {"required": ["gate"]}]
    for later in ("for_each", "max_parallel"):
        del step["properties"][later]
    root["properties"] |= {"apiVersion": {"const": API_VERSION}, "kind": {"const": KIND}}
    root["required"] = ["apiVersion", "kind", *root["required"]]
    for owner in (root, step, definitions["Waiver"]):
        owner["properties"].pop("position")
    root["properties"].pop("places")
    definitions["Waiver"]["properties"]["step"] |= _ID
    for key in ("inputs", "targets", "gates"):
        root["properties"][key] |= {"propertyNames": dict(_ID)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "drctl runbook",
        **root,
        "definitions": definitions,
    }


def _rule(action: AnyAction, definitions: dict[str, Schema], *, is_step: bool) -> Schema:
    """What must hold where ``uses`` names this action."""
    params = action.params.model_json_schema(by_alias=True, ref_template=_local(action))
    for name, inner in params.pop("$defs", {}).items():
        definitions[f"{action.name}.{name}"] = _computable(_clean(inner))
    params = _clean(params)
    _describe(params, action.params)
    properties: Schema = {"with": _computable(params), "uses": {"description": action.summary}}
    required = ["with"] if params.get("required") else []
    if action.targets:
        required.append("target")
        kinds = ", ".join(str(kind.model_fields["kind"].default) for kind in action.targets)
        properties["target"] = {"description": f"An alias of: {kinds}."}
    else:
        properties["target"] = False
    if action is INCLUDING:
        properties |= dict.fromkeys(ITS_OWN, False)
    elif is_step:
        required += ["timeout", *(["estimate"] if action.effect.changes_something else [])]
    return {
        "if": {"properties": {"uses": {"const": action.name}}, "required": ["uses"]},
        "then": {"properties": properties, "required": required},
    }


def _local(action: AnyAction) -> str:
    return "#/definitions/" + action.name + ".{model}"


def _computable(params: Schema) -> Schema:
    """Lets an expression stand wherever a value may stand, but not for the whole of ``with``."""
    if "properties" in params:
        inner = {name: _or_expression(one) for name, one in params["properties"].items()}
        return {**params, "properties": inner}
    return params


def _or_expression(value: Schema) -> Schema:
    if value.get("type") == "string" and not set(value) & {
        "pattern",
        "enum",
        "maxLength",
        "format",
    }:
        return value  # an expression is such a text already
    value = dict(value)
    about: Schema = {key: value.pop(key) for key in ("description", "default") if key in value}
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            value[key] = _or_expression(value[key])
    # Not `anyOf`: an editor would then only say that nothing fits.
    return {**about, "if": {"$ref": _REF.format(model="Expression")}, "else": _computable(value)}


def _clean(value: Any) -> Any:
    """Pydantic's schema without what a file cannot say (null) and what helps nobody (titles)."""
    if not isinstance(value, dict):
        return value
    if value.get("format") == "duration":
        kept = {key: value[key] for key in ("description", "default") if key in value}
        return {**_DURATION, **kept}
    found: Schema = {}
    for key, one in value.items():
        if key == "title" or (key == "default" and one in (None, [], {})):
            continue
        if key in {"properties", "patternProperties"}:
            found[key] = {name: _clean(inner) for name, inner in one.items()}
        elif key in {"items", "additionalProperties", "propertyNames"}:
            found[key] = _clean(one)
        elif key in {"anyOf", "allOf", "oneOf"}:
            found[key] = [_clean(inner) for inner in one if inner != {"type": "null"}]
        else:
            found[key] = one
    if len(found.get("anyOf", ())) == 1:
        found |= found.pop("anyOf")[0]
    return found


def _describe(found: Schema, model: type[BaseModel]) -> None:
    """Puts the field docstrings where editors show them."""
    docs = dict(_field_docs(model))
    for name, field in model.model_fields.items():
        key = field.alias or name
        if name in docs and key in found["properties"]:
            property_ = found["properties"][key]
            if "$ref" in property_:  # beside a $ref draft-07 ignores everything
                property_ = {"allOf": [property_]}
            found["properties"][key] = {**property_, "description": docs[name]}


def _field_docs(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """
    The string under each field. Read from the source here, not by pydantic at import: a command
    starts in milliseconds, a schema may take its time.
    """
    for one in reversed(model.__mro__):
        if one in {BaseModel, object} or not issubclass(one, BaseModel):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, doc in pairwise(body):
            match field, doc:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as words)),
                ):
                    yield name, " ".join(words.split())


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models of the language: all those that live beside *model*."""
    module = inspect.getmodule(Step)
    for one in vars(module).values():
        if (
            isinstance(one, type)
            and issubclass(one, BaseModel)
            and one.__module__ == model.__module__
        ):
            yield one
