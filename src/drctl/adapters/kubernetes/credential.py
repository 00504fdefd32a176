"""Gives applications the password that a database role has now."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import Conflict, Rejected, Unavailable
from drctl.actions.targets import DatabaseRole, Deployment
from drctl.actions.targets.credentials import SecretKey
from drctl.adapters.kubernetes.cluster import uid_of
from drctl.adapters.kubernetes.secret import Patched, PatchParams, PatchSecret


class Delivered(Outputs):
    """Where it was put."""

    changed: tuple[str, ...]
    """Places whose Secret became different, by the environment's word for each."""
    places: tuple[str, ...]


class DeliverCredential(Action[DatabaseRole, NoParams, Delivered]):
    """Sets one key in each Secret that an application reads it from, and reads it back."""

    name: ClassVar[str] = "kubernetes.credential.deliver"
    summary: ClassVar[str] = "Put a role's next password into every Secret that applications read"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DatabaseRole,)
    outputs = Delivered

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        regions = {each.cluster.region for each in target.delivered_to.values()}
        return tuple(f"data-plane:{region}" for region in sorted(regions))

    async def observe(
        self, ctx: Context, target: DatabaseRole, params: NoParams | None
    ) -> Observation:
        missing = []
        for word, place in sorted(target.delivered_to.items()):
            found = await _settled(ctx, target, place)
            if isinstance(found, CannotTell):  # silence is not "it has the password of today"
                raise Unavailable(f"{word}: {found.why}")
            if not isinstance(found, Done):
                missing.append(word)
        return Observation(readings={"missing": missing})

    def preview(
        self, observation: Observation, target: DatabaseRole, params: NoParams | None
    ) -> Preview:
        missing = observation.readings["missing"]
        words = ", ".join(map(str, missing)) if isinstance(missing, list) else ""
        if not words:
            return Nothing(why=f"every Secret has the next password of {target.role}")
        return Change(before=f"the password of today in {words}", after="the next one")

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Delivered:
        """
        Sets them one after the other; applications see it after a restart.

        Safe to repeat: a Secret that has it already is not written.

        Raises:
            Rejected: The environment names no place.
            NotFound: A Secret is missing.
            Conflict: Somebody changed one meanwhile; or a cluster is another than the environment
                pins, and then nothing was sent.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            One key of each Secret.
        """
        if not target.delivered_to:
            raise Rejected(f"{target.label} has no delivered_to in the environment")
        changed = []
        for place in target.delivered_to.values():
            await _require_cluster(ctx, place)
        for word, place in sorted(target.delivered_to.items()):
            done = await PatchSecret().perform(ctx, _beside(place), _params(target, place))
            changed += [word] if done.changed_keys else []
        return Delivered(changed=tuple(changed), places=tuple(sorted(target.delivered_to)))

    async def settled(
        self, ctx: Context, target: DatabaseRole, params: NoParams
    ) -> Done[Delivered] | NotDone | CannotTell:
        for _word, place in sorted(target.delivered_to.items()):
            seen = await _settled(ctx, target, place)
            if not isinstance(seen, Done):
                return seen
        places = tuple(sorted(target.delivered_to))
        return Done(outputs=Delivered(changed=places, places=places))


async def _require_cluster(ctx: Context, place: SecretKey) -> None:
    found = await uid_of(ctx, place.cluster)
    if found != place.cluster.cluster_uid:
        raise Conflict(
            f"{place.cluster.server} is cluster {found}, the environment pins"
            f" {place.cluster.cluster_uid}"
        )


def _beside(place: SecretKey) -> Deployment:
    """A Secret is reached like those beside a Deployment; that one itself is never asked."""
    return Deployment(cluster=place.cluster, namespace=place.namespace, name="-")


def _params(target: DatabaseRole, place: SecretKey) -> PatchParams:
    return PatchParams(name=place.secret, secret_data={place.key: target.next_password})


async def _settled(
    ctx: Context, target: DatabaseRole, place: SecretKey
) -> Done[Patched] | NotDone | CannotTell:
    return await PatchSecret().settled(ctx, _beside(place), _params(target, place))
