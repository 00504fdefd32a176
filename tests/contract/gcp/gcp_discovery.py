"""Google's own description of its APIs, and whether a request and its answer are as it says."""

import json
import re
from functools import cache
from importlib.resources import files

METHODS = {
    "sqladmin": "sqladmin.v1.json",
    "dns": "dns.v1.json",
    "crm": "cloudresourcemanager.v3.json",
}


@cache
def document(name):
    folder = files("googleapiclient") / "discovery_cache" / "documents"
    return json.loads((folder / METHODS[name]).read_text())


@cache
def methods():
    """(HTTP method, pattern, document, method) of everything that the three APIs have."""
    found = []
    for name in METHODS:
        stack = [document(name)]
        while stack:
            level = stack.pop()
            stack += level.get("resources", {}).values()
            for method in level.get("methods", {}).values():
                path = method.get("flatPath", method["path"])
                pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
                found.append((method["httpMethod"], re.compile(f"/{pattern}"), name, method))
    return found


def method_of(exchange):
    for verb, pattern, name, method in methods():
        if verb == exchange.method and pattern.fullmatch(exchange.path):
            return document(name), method
    raise AssertionError(f"Google has no {exchange.method} {exchange.path}")


def check(exchange):
    """
    Raises:
        AssertionError: Names what is not as Google describes it.
    """
    api, method = method_of(exchange)
    known = method.get("parameters", {}) | api["parameters"]
    for name in exchange.query:
        assert known.get(name, {}).get("location") == "query", f"{method['id']} has no ?{name}"
    sent = json.loads(exchange.body) if exchange.body else None
    wanted = method.get("request")
    assert sent is None or wanted is not None, f"{method['id']} takes no body"
    if sent is not None:
        conforms(api, {"$ref": wanted["$ref"]}, sent, f"{method['id']} request", reading=False)
    if 200 <= exchange.status < 300:
        got = json.loads(exchange.answer)
        conforms(api, method["response"], got, f"{method['id']} response", reading=True)
    else:
        error = json.loads(exchange.answer)["error"]
        assert exchange.status == error["code"]
        assert error["message"] and error["errors"][0]["reason"] and error["status"]
    return method["id"]


KINDS = {"string": str, "integer": int, "boolean": bool, "number": (int, float), "any": object}


def conforms(api, schema, value, at, *, reading):
    if "$ref" in schema:
        schema = api["schemas"][schema["$ref"]]
    if schema.get("readOnly") and not reading:
        raise AssertionError(f"{at} is Google's to say")
    kind = schema.get("type", "object")
    if kind == "object":
        assert isinstance(value, dict), f"{at} is no object"
        for name, item in value.items():
            inside = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            assert inside is not None, f"{at} has no field {name}"
            conforms(api, inside, item, f"{at}.{name}", reading=reading)
    elif kind == "array":
        assert isinstance(value, list), f"{at} is no list"
        for item in value:
            conforms(api, schema["items"], item, f"{at}[]", reading=reading)
    else:
        is_kind = isinstance(value, KINDS[kind])
        assert is_kind and (kind != "integer" or value is not True), f"{at} is {value!r}"
        if "enum" in schema:
            assert value in schema["enum"], f"{at} cannot be {value!r}"
        if schema.get("format") in {"int64", "uint64"}:
            assert re.fullmatch(r"-?\d+", str(value)), f"{at} is no number: {value!r}"
        if schema.get("format") == "google-datetime":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", value), f"{at} {value}"
