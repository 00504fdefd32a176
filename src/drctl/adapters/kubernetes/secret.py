"""Changes keys of a Secret, and reads them back."""

import base64
from typing import Any, ClassVar

from pydantic import Field, model_validator

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import Deployment, Text
from drctl.adapters import _secret
from drctl.adapters.kubernetes.client import Cluster, secret_path
from drctl.kernel.canonical import JSON
from drctl.kernel.secret import SecretRef


class PatchParams(Params):
    """Which keys become what; every other key stays."""

    name: Text
    """Of the Secret, in the target's namespace."""
    data: dict[Text, str] = Field(default_factory=dict)
    """Plain values that are *not* secret, such as host names: they are shown and journaled."""
    secret_data: dict[Text, SecretRef] = Field(default_factory=dict)
    """References; what they lead to is never shown."""

    @model_validator(mode="after")
    def _has_keys_once(self) -> "PatchParams":
        if not self.data and not self.secret_data:
            raise ValueError("give at least one key in data or secret_data")
        if both := sorted(set(self.data) & set(self.secret_data)):
            raise ValueError(f"in data and in secret_data: {', '.join(both)}")
        return self


class Patched(Outputs):
    """What became different."""

    changed_keys: tuple[str, ...]
    """Empty when the Secret was already so."""


class PatchSecret(Action[Deployment, PatchParams, Patched]):
    """Sets keys of a Secret that nobody changed meanwhile. Pods see it after a restart."""

    name: ClassVar[str] = "kubernetes.secret.patch"
    summary: ClassVar[str] = "Set keys of a Secret beside a Deployment and read them back"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    looks_blind: ClassVar[bool] = False
    targets = (Deployment,)
    params = PatchParams
    outputs = Patched

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: PatchParams | None
    ) -> Observation:
        """Reads the values of keys that are declared plain, and of the others only presence."""
        if params is None:
            return Observation()
        data = (await _read(Cluster(ctx, target.cluster), target, params))["data"]
        plain: dict[str, JSON] = {key: _decoded(data.get(key)) for key in sorted(params.data)}
        hidden: dict[str, JSON] = {key: key in data for key in sorted(params.secret_data)}
        return Observation(facts={"data": plain, "has": hidden})

    def preview(
        self, observation: Observation, target: Deployment, params: PatchParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="the values are only known during the run")
        now = observation.facts["data"]
        if not isinstance(now, dict):
            return CannotTell(why=f"secret/{params.name} was not read")
        before = {key: now.get(key) for key in params.data if now.get(key) != params.data[key]}
        if not before and not params.secret_data:
            return Nothing(why=f"secret/{params.name} is already so")
        hidden = [f"{key}=***" for key in sorted(params.secret_data)]
        return Change(
            before=", ".join([*(_shown(key, before[key]) for key in sorted(before)), *hidden]),
            after=", ".join([*(_shown(key, params.data[key]) for key in sorted(before)), *hidden]),
        )

    async def perform(self, ctx: Context, target: Deployment, params: PatchParams) -> Patched:
        """
        Sets the keys and reads them back.

        Safe to repeat: keys that are as wanted are not written.

        Raises:
            NotFound: No such Secret.
            Conflict: Somebody changed the Secret between our look and our write, or after it.
            Rejected: The Secret is immutable, or a key is no key.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The named keys of the Secret.
        """
        cluster = Cluster(ctx, target.cluster)
        wanted = _wanted(ctx, params)
        seen = await _read(cluster, target, params)
        changed = {key: value for key, value in wanted.items() if seen["data"].get(key) != value}
        if not changed:
            return Patched(changed_keys=())
        version = seen["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "data": changed}
        try:
            await cluster.patch(secret_path(target, params.name), body)
        except Conflict:
            # A network that delivers twice gives the answer to the second: look what is there.
            if not await _is_so(cluster, target, params, wanted):
                raise
        try:
            after = (await _read(cluster, target, params))["data"]
        except ActionError as error:
            raise OutcomeUnknown(f"accepted, and then not readable: {error}") from error
        if undone := sorted(key for key in wanted if after.get(key) != wanted[key]):
            raise Conflict(f"secret/{params.name}: something else set {', '.join(undone)} again")
        return Patched(changed_keys=tuple(sorted(changed)))

    async def settled(
        self, ctx: Context, target: Deployment, params: PatchParams
    ) -> Done[Patched] | NotDone | CannotTell:
        """`Done` names all keys: which of them this call changed cannot be seen afterwards."""
        try:
            wanted = _wanted(ctx, params)
            data = (await _read(Cluster(ctx, target.cluster), target, params))["data"]
        except ActionError as error:
            return CannotTell(why=str(error))
        if others := sorted(key for key in wanted if data.get(key) != wanted[key]):
            return NotDone(why=f"secret/{params.name} has other values for {', '.join(others)}")
        return Done(outputs=Patched(changed_keys=tuple(sorted(wanted))))


async def _read(cluster: Cluster, target: Deployment, params: PatchParams) -> dict[str, Any]:
    secret = await cluster.get(secret_path(target, params.name))
    return secret | {"data": secret.get("data") or {}}


async def _is_so(
    cluster: Cluster, target: Deployment, params: PatchParams, wanted: dict[str, str]
) -> bool:
    try:
        data = (await _read(cluster, target, params))["data"]
    except ActionError as error:
        raise OutcomeUnknown(f"refused, and then not readable: {error}") from error
    return all(data.get(key) == value for key, value in wanted.items())


def _wanted(ctx: Context, params: PatchParams) -> dict[str, str]:
    plain = {key: _encoded(value) for key, value in params.data.items()}
    hidden = {key: _encoded(_secret.reveal(ctx, ref)) for key, ref in params.secret_data.items()}
    return plain | hidden


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode("ascii")


def _decoded(value: str | None) -> str | None:
    return None if value is None else base64.b64decode(value).decode("utf-8", "replace")


def _shown(key: str, value: JSON) -> str:
    return f"{key} not set" if value is None else f"{key}={value}"


class CheckSecretParams(Params):
    """What must be there."""

    name: Text
    """Of the Secret, in the target's namespace."""
    keys: tuple[Text, ...] = Field(min_length=1)
    """Each has to be there, and to hold something."""


class SecretThere(Outputs):
    """What is there; never a value."""

    keys: tuple[str, ...]
    """All keys of the Secret."""


class CheckSecret(Action[Deployment, CheckSecretParams, SecretThere]):
    """Fails when a Secret lacks a key that pods need to start."""

    name: ClassVar[str] = "kubernetes.secret.check"
    summary: ClassVar[str] = "Check that a Secret beside a Deployment has its keys"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (Deployment,)
    params = CheckSecretParams
    outputs = SecretThere

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def perform(
        self, ctx: Context, target: Deployment, params: CheckSecretParams
    ) -> SecretThere:
        """
        Looks.

        Raises:
            NotFound: No such Secret.
            Rejected: A key is missing or empty.
        """
        secret = await Cluster(ctx, target.cluster).get(secret_path(target, params.name))
        data = secret.get("data") or {}
        if missing := sorted(key for key in params.keys if not data.get(key)):
            raise Rejected(f"secret/{params.name} has nothing under {', '.join(missing)}")
        return SecretThere(keys=tuple(sorted(data)))
