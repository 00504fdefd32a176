"""Traffic moves by one object in the recovery region, without the control plane in us-east-1."""

import json
import secrets

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import (
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import DnsRecord, FailoverSwitch
from drctl.adapters.aws.failover_switch import DisengageSwitch, EngageSwitch
from drctl.adapters.aws.identity import AccountPin, CheckIdentity, ZonePin
from drctl.adapters.aws.record import UpsertParams, UpsertRecord

EAST, WEST = "us-east-1", "us-west-2"
ENGAGE, DISENGAGE, UPSERT = EngageSwitch(), DisengageSwitch(), UpsertRecord()
GO = NoParams()
EAST_LB = "healing-guard-lb-1.us-east-1.elb.amazonaws.com"
WEST_LB = "healing-guard-dr-lb-2.us-west-2.elb.amazonaws.com"
ANYONE_MAY_READ = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::healing-guard-switch/*",
        }
    ],
}


def alias(name, role, **more):
    target = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": name, "EvaluateTargetHealth": False}
    record = {"Name": "api.healing-guard.com", "Type": "A", "SetIdentifier": role.lower()}
    change = record | {"Failover": role, "AliasTarget": target} | more
    return {"Action": "CREATE", "ResourceRecordSet": change}


@pytest.fixture(scope="module")
def zone(estate):
    """The failover pair of the estate, with the inverted health check on the switch's object."""
    estate.names |= {EAST_LB: "127.141.3.9", WEST_LB: "127.142.3.9"}
    s3 = estate.client("s3", WEST)
    location = {"LocationConstraint": WEST}
    s3.create_bucket(Bucket="healing-guard-switch", CreateBucketConfiguration=location)
    s3.put_bucket_policy(Bucket="healing-guard-switch", Policy=json.dumps(ANYONE_MAY_READ))
    route53 = estate.client("route53", EAST)
    zone = route53.create_hosted_zone(
        Name="healing-guard.com", CallerReference=secrets.token_hex(4)
    )["HostedZone"]["Id"].rsplit("/", 1)[-1]
    host, port = estate.plan.aws_address(WEST)
    check = route53.create_health_check(
        CallerReference=secrets.token_hex(4),
        HealthCheckConfig={
            "Type": "HTTP",
            "IPAddress": host,
            "Port": port,
            "ResourcePath": "/healing-guard-switch/engaged",
            "RequestInterval": 10,
            "FailureThreshold": 1,
            "Inverted": True,
        },
    )["HealthCheck"]["Id"]
    changes = [alias(EAST_LB, "PRIMARY", HealthCheckId=check), alias(WEST_LB, "SECONDARY")]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return zone


@pytest.fixture
async def switch(estate, zone, context):
    target = FailoverSwitch.model_validate(
        {
            "aws": estate.connection(WEST),
            "bucket": "healing-guard-switch",
            "key": "engaged",
            "record_name": "api.healing-guard.com",
            "recovery_name": WEST_LB,
            "url": "http://api.healing-guard.com:8080",
        }
    )
    await DISENGAGE.perform(context(resolvers=[estate.resolver]), target, GO)
    yield target
    estate.plane.set_reachable(EAST, True)
    estate.client("s3", WEST).delete_object(Bucket="healing-guard-switch", Key="engaged")


@pytest.fixture
def record(estate, zone):
    return DnsRecord.model_validate(
        {
            "aws": estate.connection(EAST),
            "zone_id": zone,
            "zone_name": "healing-guard.com.",
            "record_name": f"{secrets.token_hex(3)}.healing-guard.com",
        }
    )


async def test_traffic_moves_with_the_east_and_its_control_planes_gone(estate, switch, context):
    ctx = context(20, resolvers=[estate.resolver])
    seen = await ENGAGE.observe(ctx, switch, GO)
    assert seen.facts == {"engaged": False}
    preview = ENGAGE.preview(seen, switch, GO)
    assert isinstance(preview, Change)
    assert "127.141.3.9" in preview.before
    assert "127.142.3.9" in preview.after
    assert isinstance(await ENGAGE.settled(ctx, switch, GO), NotDone)

    estate.plane.set_reachable(EAST, False)
    moved = await ENGAGE.perform(ctx, switch, GO)

    assert moved.answers == {estate.resolver: ("127.142.3.9",)}
    assert await ENGAGE.settled(ctx, switch, GO) == Done(outputs=moved)
    assert isinstance(ENGAGE.preview(await ENGAGE.observe(ctx, switch, GO), switch, GO), Nothing)
    body = estate.client("s3", WEST).get_object(Bucket=switch.bucket, Key=switch.key)["Body"]
    assert json.loads(body.read())["engaged_by"] == "run-1.step.1"
    assert await ENGAGE.perform(ctx, switch, GO) == moved
    back = await DISENGAGE.perform(ctx, switch, GO)
    assert back.answers == {estate.resolver: ("127.141.3.9",)}


def test_the_switch_needs_the_recovery_regions_data_plane_only(switch):
    assert ENGAGE.planes(switch) == ("data-plane:us-west-2",)


async def test_every_resolver_must_follow(estate, switch, context):
    """A resolver that does not answer was not seen to follow: the end of the move is unknown."""
    ctx = context(1.5, resolvers=[estate.resolver, "127.140.0.54:5353"])
    with pytest.raises(OutcomeUnknown, match=r"is written, but"):
        await ENGAGE.perform(ctx, switch, GO)
    settled = await ENGAGE.settled(context(0.5, resolvers=ctx.resolvers), switch, GO)
    assert isinstance(settled, CannotTell)
    settled = await ENGAGE.settled(context(resolvers=[estate.resolver]), switch, GO)
    assert isinstance(settled, Done)


async def test_a_bucket_that_is_not_there_is_not_found(switch, estate, context):
    target = switch.model_copy(update={"bucket": "healing-guard-nowhere"})
    with pytest.raises(NotFound):
        await ENGAGE.perform(context(resolvers=[estate.resolver]), target, GO)


async def test_a_record_is_written_once_and_waited_for(estate, record, context):
    params = UpsertParams(ttl=60, values=("127.0.0.1",))
    preview = UPSERT.preview(await UPSERT.observe(context(), record, params), record, params)
    assert isinstance(preview, Change)
    assert preview.creates
    assert isinstance(await UPSERT.settled(context(), record, params), NotDone)
    done = await UPSERT.perform(context(), record, params)
    status = estate.client("route53", EAST).get_change(Id=done.change_id)["ChangeInfo"]["Status"]
    assert status == "INSYNC"
    assert isinstance(await UPSERT.settled(context(), record, params), Done)
    preview = UPSERT.preview(await UPSERT.observe(context(), record, params), record, params)
    assert isinstance(preview, Nothing)
    other = UpsertParams(alias={"zone_id": "Z35SXDOTRQ7X7K", "name": WEST_LB})
    preview = UPSERT.preview(await UPSERT.observe(context(), record, other), record, other)
    assert preview == Change(
        before="A 127.0.0.1 for 60 s", after=f"A alias of {WEST_LB} without its health"
    )
    await UPSERT.perform(context(), record, other)
    assert isinstance(await UPSERT.settled(context(), record, other), Done)


async def test_a_member_of_a_set_is_pointed_elsewhere_and_stays_what_it_was(
    estate, zone, record, context
):
    """Its health check, its role and its partner are not ours to change."""
    target = record.model_copy(update={"record_name": "api.healing-guard.com"})
    route53 = estate.client("route53", EAST)

    def pair():
        sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return {one["SetIdentifier"]: one for one in sets if "SetIdentifier" in one}

    before = pair()
    there = {"zone_id": "Z35SXDOTRQ7X7K", "name": WEST_LB}
    params = UpsertParams(alias=there, set_identifier="primary")
    preview = UPSERT.preview(await UPSERT.observe(context(), target, params), target, params)
    assert preview == Change(
        before=f"A alias of {EAST_LB} without its health (primary)",
        after=f"A alias of {WEST_LB} without its health (primary)",
    )
    assert isinstance(await UPSERT.settled(context(), target, params), NotDone)
    moved = await UPSERT.perform(context(), target, params)
    assert moved.previous_alias_name == EAST_LB
    after = pair()
    assert after["secondary"] == before["secondary"]
    assert after["primary"]["AliasTarget"]["DNSName"].rstrip(".") == WEST_LB
    kept = ("Failover", "HealthCheckId", "SetIdentifier", "Type", "Name")
    assert {k: after["primary"][k] for k in kept} == {k: before["primary"][k] for k in kept}
    assert isinstance(await UPSERT.settled(context(), target, params), Done)
    back = {"zone_id": moved.previous_alias_zone_id, "name": moved.previous_alias_name}
    await UPSERT.perform(context(), target, UpsertParams(alias=back, set_identifier="primary"))
    assert pair() == before
    with pytest.raises(NotFound, match="tertiary"):
        await UPSERT.perform(
            context(), target, UpsertParams(alias=there, set_identifier="tertiary")
        )
    with pytest.raises(Rejected, match="routing policy"):
        await UPSERT.perform(context(), target, UpsertParams(alias=there))


async def test_a_record_of_another_kind_is_replaced_in_one_batch(estate, zone, record, context):
    """An A beside a CNAME is refused, so one goes as the other comes; nobody sees a gap."""
    await UPSERT.perform(context(), record, UpsertParams(ttl=60, values=("127.0.0.1",)))
    params = UpsertParams(type="CNAME", ttl=30, values=("other.example.com",))
    preview = UPSERT.preview(await UPSERT.observe(context(), record, params), record, params)
    assert preview == Change(
        before="A 127.0.0.1 for 60 s", after="CNAME other.example.com for 30 s"
    )
    await UPSERT.perform(context(), record, params)
    sets = estate.client("route53", EAST).list_resource_record_sets(HostedZoneId=zone)
    kinds = [
        one["Type"]
        for one in sets["ResourceRecordSets"]
        if one["Name"].rstrip(".") == record.record_name
    ]
    assert kinds == ["CNAME"]
    await UPSERT.perform(context(), record, UpsertParams(ttl=60, values=("127.0.0.2",)))


async def test_the_old_answer_is_outlasted_not_the_new_one(estate, record, context):
    """Resolvers keep what they have for the TTL that came with it."""
    ctx = context(20, resolvers=[estate.resolver])
    await UPSERT.perform(ctx, record, UpsertParams(ttl=2, values=("127.0.0.1",)))
    started = ctx.clock.now().boot_s
    params = UpsertParams(ttl=60, values=("127.0.0.2",), outlast_caches=True)
    done = await UPSERT.perform(ctx, record, params)
    assert done.old_ttl_s == 2.0
    assert ctx.clock.now().boot_s - started >= 2.0
    late = UpsertParams(ttl=60, values=("127.0.0.3",), outlast_caches=True)
    with pytest.raises(OutcomeUnknown, match="keep the old answer for 60 s"):
        await UPSERT.perform(context(5, resolvers=[estate.resolver]), record, late)


async def test_one_weight_of_a_set_is_changed(estate, zone, record, context):
    route53 = estate.client("route53", EAST)
    alike = {"Name": record.record_name, "Type": "A", "TTL": 60}
    changes = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": alike
            | {"SetIdentifier": name, "Weight": weight, "ResourceRecords": [{"Value": address}]},
        }
        for name, weight, address in (("blue", 100, "127.0.0.1"), ("green", 0, "127.0.0.2"))
    ]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    params = UpsertParams(ttl=60, values=("127.0.0.2",), set_identifier="green", weight=50)
    await UPSERT.perform(context(), record, params)
    sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    weights = {one["SetIdentifier"]: one["Weight"] for one in sets if "Weight" in one}
    assert weights == {"blue": 100, "green": 50}
    with pytest.raises(ValueError, match="set_identifier"):
        UpsertParams(ttl=60, values=("127.0.0.2",), weight=1)


async def test_a_change_that_is_not_seen_in_sync_is_unknown(estate, record, context):
    with pytest.raises(OutcomeUnknown, match="PENDING"):
        await UPSERT.perform(context(0.4), record, UpsertParams(ttl=60, values=("127.0.0.1",)))


async def test_a_record_that_cannot_be_is_rejected(record, context):
    params = UpsertParams(ttl=60, values=("not an address",))
    with pytest.raises(Rejected):
        await UPSERT.perform(context(), record, params)
    target = record.model_copy(update={"zone_id": "ZNOWHERE"})
    with pytest.raises(NotFound):
        await UPSERT.perform(context(), target, UpsertParams(ttl=60, values=("127.0.0.1",)))


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [("PriorRequestNotComplete", 400, Conflict), ("Throttling", 400, Throttled)],
)
async def test_a_busy_zone_is_not_an_unknown_outcome(
    code, status, word, endpoint_at, connection_to, context
):
    body = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()
    empty = (
        b"<ListResourceRecordSetsResponse><ResourceRecordSets/><IsTruncated>false</IsTruncated>"
        b"<MaxItems>100</MaxItems></ListResourceRecordSetsResponse>"
    )
    endpoint = await endpoint_at(
        answer=lambda request: (200, empty) if request.method == "GET" else (status, body)
    )
    target = DnsRecord(
        aws=connection_to(endpoint.url), zone_id="Z1", zone_name="x.com", record_name="a.x.com"
    )
    with pytest.raises(word):
        await UPSERT.perform(context(), target, UpsertParams(ttl=60, values=("127.0.0.1",)))
    assert [r.method for r in endpoint.requests].count("POST") == 1


async def test_pins_read_who_is_on_the_other_side(estate, record, switch, context):
    account, zone = AccountPin(), ZonePin()
    assert account.identity(switch).subject == WEST
    assert await account.read(context(), switch) == account.identity(switch).expected
    assert zone.identity(switch) is None
    assert zone.identity(record).expected == "healing-guard.com"
    assert await zone.read(context(), record) == "healing-guard.com"
    caller = await CheckIdentity().perform(context(), switch, GO)
    assert caller.account == "123456789012"


async def test_a_region_that_is_gone_does_not_say_who_it_is(estate, record, context):
    estate.plane.set_reachable(EAST, False)
    try:
        with pytest.raises(Unavailable):
            await AccountPin().read(context(1), record)
    finally:
        estate.plane.set_reachable(EAST, True)
