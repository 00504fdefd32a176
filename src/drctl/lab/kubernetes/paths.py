"""What a request path names."""

from drctl.lab.kubernetes.kinds import NAMESPACE, Kind, find_kind
from drctl.lab.kubernetes.objects import Target


class NoSuchPath(Exception):
    """Nothing is served at a path."""


def parse_path(path: str) -> Target:
    """
    Reads ``apis/apps/v1/namespaces/shop/deployments/web/scale`` and its shorter kin.

    Raises:
        NoSuchPath: No kind or subresource of ours lives there.
    """
    match path.split("/"):
        case ["api", version, *rest]:
            return _target("", version, rest)
        case ["apis", group, version, *rest]:
            return _target(group, version, rest)
    raise NoSuchPath


def _target(group: str, version: str, rest: list[str]) -> Target:
    match rest:
        case ["namespaces", namespace, plural, *more] if plural != "status":
            kind = _kind(group, version, plural)
            if kind.namespaced:
                return _named(kind, namespace, more)
        case ["namespaces", *more]:
            return _named(_kind(group, version, NAMESPACE.plural), None, more)
        case [plural, *more]:
            kind = _kind(group, version, plural)
            # A namespaced kind without its namespace can only be listed, over all of them.
            if not (kind.namespaced and more):
                return _named(kind, None, more)
    raise NoSuchPath


def _named(kind: Kind, namespace: str | None, more: list[str]) -> Target:
    match more:
        case []:
            return Target(kind, namespace)
        case [name]:
            return Target(kind, namespace, name)
        case [name, subresource] if subresource in kind.subresources:
            return Target(kind, namespace, name, subresource)
    raise NoSuchPath


def _kind(group: str, version: str, plural: str) -> Kind:
    kind = find_kind(group, version, plural)
    if kind is None:
        raise NoSuchPath
    return kind
