"""A promotion is sent once, and is over when RDS and the server itself say so."""

import itertools

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import RdsInstance
from drctl.adapters.aws.rds_promote import PromoteParams, PromoteReplica
from drctl.adapters.aws.rds_wait import WaitForInstance, WaitParams

WEST, STANDBY = "us-west-2", "healing-guard-dr"
PROMOTE, GO = PromoteReplica(), PromoteParams()
WAIT = WaitForInstance()


class Rds:
    """A described instance that changes as a test says; promotions are counted by the endpoint."""

    def __init__(self, *states):
        self.states = itertools.chain(states, itertools.repeat(states[-1]))
        self.after = None
        self.promotion = (
            200,
            (
                b"<PromoteReadReplicaResponse><PromoteReadReplicaResult/></PromoteReadReplicaResponse>"
            ),
        )

    def __call__(self, request):
        if request.form["Action"] == "PromoteReadReplica":
            if self.after is not None:
                self.states = itertools.chain(self.after, itertools.repeat(self.after[-1]))
            return self.promotion
        status, source = next(self.states)
        if status is None:
            body = "<ErrorResponse><Error><Code>DBInstanceNotFound</Code></Error></ErrorResponse>"
            return 404, body.encode()
        tag = "ReadReplicaSourceDBInstanceIdentifier"
        replica = f"<{tag}>{source}</{tag}>"
        body = (
            "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>"
            f"<DBInstanceIdentifier>{STANDBY}</DBInstanceIdentifier>"
            f"<DBInstanceStatus>{status}</DBInstanceStatus>{replica if source else ''}"
            "<Endpoint><Address>dr.example.com</Address><Port>5432</Port></Endpoint>"
            "</DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
        )
        return 200, body.encode()


@pytest.fixture
def scripted(endpoint_at, connection_to):
    async def make(*states, after=None, promotion=None):
        rds = Rds(*states)
        rds.after = after
        rds.promotion = promotion or rds.promotion
        endpoint = await endpoint_at(answer=rds)
        target = RdsInstance(aws=connection_to(endpoint.url), instance="healing-guard-dr")
        return target, endpoint

    return make


def promotions(endpoint):
    return [one.form["Action"] for one in endpoint.requests].count("PromoteReadReplica")


REPLICA, PRIMARY = ("available", "arn:prod"), ("available", None)


async def test_a_promotion_is_over_when_the_source_is_gone_and_the_instance_available(
    scripted, context
):
    """Right after the call RDS may still describe an available replica."""
    after = [REPLICA, ("modifying", "arn:prod"), ("modifying", None), PRIMARY]
    target, endpoint = await scripted(REPLICA, after=after)
    promotion = await PROMOTE.perform(context(), target, GO)
    assert (
        promotion.endpoint,
        promotion.port,
        promotion.changed,
    ) == ("dr.example.com", 5432, True)
    assert promotions(endpoint) == 1


async def test_a_primary_is_left_alone(scripted, context):
    target, endpoint = await scripted(PRIMARY)
    assert (await PROMOTE.perform(context(), target, GO)).changed is False
    assert promotions(endpoint) == 0
    assert isinstance(
        PROMOTE.preview(await PROMOTE.observe(context(), target, GO), target, GO), Nothing
    )


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (("backing-up", "arn:prod"), Conflict),
        (("modifying", "arn:prod"), Conflict),
        (("failed", "arn:prod"), Rejected),
        (("incompatible-parameters", "arn:prod"), Rejected),
        (("storage-full", None), Rejected),
        ((None, None), NotFound),
    ],
)
async def test_what_cannot_be_promoted_is_not_asked_to(state, word, scripted, context):
    target, endpoint = await scripted(state)
    with pytest.raises(word):
        await PROMOTE.perform(context(), target, GO)
    assert promotions(endpoint) == 0


@pytest.mark.parametrize("status", ["failed", "incompatible-network", "deleting", None])
async def test_a_terminal_state_ends_the_wait_at_once(status, scripted, context):
    target, _ = await scripted(REPLICA, after=[("modifying", "arn:prod"), (status, None)])
    ctx = context(20)
    with pytest.raises(Rejected):
        await PROMOTE.perform(ctx, target, GO)
    assert ctx.deadline.left_s(ctx.clock) > 15


async def test_a_promotion_without_an_answer_is_unknown_and_sent_once(scripted, context):
    target, endpoint = await scripted(REPLICA, promotion="close")
    with pytest.raises(OutcomeUnknown):
        await PROMOTE.perform(context(), target, GO)
    assert promotions(endpoint) == 1


async def test_a_promotion_that_does_not_end_is_unknown(scripted, context):
    target, endpoint = await scripted(REPLICA, after=[("modifying", "arn:prod")])
    with pytest.raises(OutcomeUnknown, match='still reports "modifying"'):
        await PROMOTE.perform(context(1.5), target, GO)
    assert promotions(endpoint) == 1


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        ([PRIMARY], Done),
        ([("modifying", "arn:prod")], CannotTell),
        ([("modifying", None)], CannotTell),
        ([REPLICA], NotDone),
        ([REPLICA, ("modifying", "arn:prod")], CannotTell),
        ([(None, None)], CannotTell),
    ],
)
async def test_a_lost_answer_is_read_back_and_a_late_effect_is_not_missed(
    states, kind, scripted, context
):
    """ "It never arrived" is said only after several looks."""
    target, endpoint = await scripted(*states)
    assert isinstance(await PROMOTE.settled(context(), target, GO), kind)
    assert promotions(endpoint) == 0


async def test_a_wait_fails_on_what_never_comes_back_and_on_time(scripted, context):
    target, _ = await scripted(("creating", None), ("failed", None))
    with pytest.raises(Rejected, match="failed"):
        await WAIT.perform(context(), target, WaitParams())
    target, _ = await scripted(("creating", None))
    with pytest.raises(Unavailable, match="creating"):
        await WAIT.perform(context(1), target, WaitParams())
    target, _ = await scripted(("creating", None), ("available", "arn:prod"))
    assert (await WAIT.perform(context(), target, WaitParams())).is_replica is True
    target, _ = await scripted(("stopped", None))
    assert (await WAIT.perform(context(), target, WaitParams(status="stopped"))).status == "stopped"


async def test_a_real_standby_takes_writes_when_the_promotion_returns(estate, context):
    estate.create_replica("spare")
    session = await estate.connect("spare", "drctl")
    system = await session.fetchval("SELECT system_identifier::text FROM pg_control_system()")
    await session.close()
    target, go = (
        estate.target("spare", WEST, system_identifier=system),
        PromoteParams(from_timeline=1),
    )
    preview = PROMOTE.preview(await PROMOTE.observe(context(), target, go), target, go)
    assert isinstance(preview, Change)
    promotion = await PROMOTE.perform(context(30), target, go)
    assert (promotion.changed, promotion.from_timeline) == (True, 1)
    assert promotion.lsn
    session = await estate.connect("spare", "drctl")
    await session.execute("INSERT INTO public.pipelines (id) VALUES ('after')")
    await session.close()
    settled = await PROMOTE.settled(context(), target, go)
    assert (promotion.endpoint, promotion.port) == (settled.outputs.endpoint, settled.outputs.port)
    with pytest.raises(Conflict, match="nothing shows that it comes from there"):
        await PROMOTE.perform(context(), target, go)


async def test_a_replica_of_which_nothing_is_known_is_not_promoted(estate, context):
    """Which system it must be, and which timeline the primary was on: RDS says neither."""
    with pytest.raises(Conflict, match="nothing says which system"):
        await PROMOTE.perform(context(), estate.target(STANDBY, WEST), GO)
    other = estate.target(STANDBY, WEST, system_identifier="7")
    with pytest.raises(Conflict, match="it is system"):
        await PROMOTE.perform(context(), other, PromoteParams(from_timeline=1))
