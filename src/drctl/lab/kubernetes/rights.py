"""
What the token's user may do: one ClusterRole, obeyed by every request, and asked about.

The API server of the lab knows one user, bound to the ClusterRole ``drctl``, which allows
everything until somebody takes a rule away through the API. ``SelfSubjectAccessReview`` answers
from the same rules. Only rules with groups, resources and verbs are emulated; roles of namespaces,
bindings and other users are not. Nobody locks himself out: the role itself may always be changed.
"""

from typing import Any

from drctl.lab.kubernetes.errors import ApiError, Object
from drctl.lab.kubernetes.kinds import CLUSTER_ROLE, Kind
from drctl.lab.kubernetes.store import Store

USER = "drctl"
REVIEW = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def first_role() -> Object:
    """The role that allows everything."""
    return {"metadata": {"name": USER}, "rules": _EVERYTHING}


class Rights:
    """Asks the role."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def require(self, verb: str, kind: Kind, subresource: str, name: str) -> None:
        """
        Lets a request through.

        Raises:
            ApiError: 403, no rule allows it.
        """
        if kind is CLUSTER_ROLE and name == USER:
            return
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        if not self.allows(verb, kind.group, resource):
            what = f'{kind.plural}{f".{kind.group}" if kind.group else ""} "{name}"'
            message = f'{what} is forbidden: User "{USER}" cannot {verb} resource "{resource}"'
            raise ApiError(403, "Forbidden", message)

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Whether some rule does; a rule for a resource is none for its parts."""
        role = self._store.find(CLUSTER_ROLE, "", USER)
        return any(
            _has(rule, "apiGroups", group)
            and _has(rule, "resources", resource)
            and _has(rule, "verbs", verb)
            for rule in (role or {}).get("rules", [])
        )

    def review(self, body: Any) -> Object:
        """Answers a SelfSubjectAccessReview, which is created and kept nowhere."""
        asked = body.get("spec", {}).get("resourceAttributes", {})
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource = f"{resource}/{asked['subresource']}"
        allowed = self.allows(asked.get("verb", ""), asked.get("group", ""), resource)
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": body.get("spec", {}),
            "status": {"allowed": allowed, "reason": "" if allowed else "no rule allows it"},
        }


def verb_of(method: str, *, has_name: bool, watches: bool) -> str:
    """RBAC's word for a request."""
    if method == "GET":
        return "get" if has_name else ("watch" if watches else "list")
    return _VERBS.get(method, method.lower())


def _has(rule: Object, field: str, value: str) -> bool:
    listed = rule.get(field, [])
    return "*" in listed or value in listed
