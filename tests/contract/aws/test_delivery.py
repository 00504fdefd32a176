"""A mutation is delivered once, whatever happens to its answer; a read may be asked again."""

import re
from datetime import timedelta

import pytest

from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters.aws.client import Aws

INSTANCES = (
    b"<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances/>"
    b"</DescribeDBInstancesResult></DescribeDBInstancesResponse>"
)


def error(code, status):
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
    return status, body.encode()


PROMOTE = {"DBInstanceIdentifier": "healing-guard-dr"}


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("hang", OutcomeUnknown),
        ("reset", OutcomeUnknown),
        ("close", OutcomeUnknown),
        (error("InternalFailure", 500), OutcomeUnknown),
        (error("ServiceUnavailable", 503), OutcomeUnknown),
        ((502, b"<html>bad gateway</html>"), OutcomeUnknown),
        ((200, b"<this is not xml"), OutcomeUnknown),
        ((200, b"<PromoteReadReplicaResponse/>"), OutcomeUnknown),
        (error("Throttling", 400), Throttled),
        (error("InvalidDBInstanceState", 400), Conflict),
        (error("AccessDenied", 403), AuthRejected),
    ],
)
async def test_a_mutation_is_delivered_once_whatever_comes_back(
    said, word, endpoint_at, connection_to, context
):
    """The SDK's default would deliver a promotion up to five times."""
    endpoint = await endpoint_at(answer=lambda _request: said)
    aws = Aws(context(), connection_to(endpoint.url), call_s=1.0)
    with pytest.raises(word):
        await aws.mutate("rds", "promote_read_replica", **PROMOTE)
    assert [request.form["Action"] for request in endpoint.requests] == ["PromoteReadReplica"]
    assert endpoint.connections == 1


@pytest.mark.parametrize("said", ["hang", "reset", "close", (500, b""), (503, b"")])
async def test_a_put_to_s3_is_delivered_once_whatever_comes_back(
    said, endpoint_at, connection_to, context
):
    endpoint = await endpoint_at(answer=lambda _request: said)
    aws = Aws(context(), connection_to(endpoint.url), call_s=1.0)
    with pytest.raises(OutcomeUnknown):
        await aws.mutate("s3", "put_object", Bucket="b", Key="k", Body=b"{}")
    assert [(one.method, one.path) for one in endpoint.requests] == [("PUT", "/b/k")]


@pytest.mark.parametrize("status", [301, 307, 400])
async def test_a_bucket_of_another_region_is_refused_and_not_followed(
    status, endpoint_at, connection_to, context
):
    """The SDK would send it again, to the region that the answer names: the burning one."""
    other = await endpoint_at("127.141.0.12")
    code = "AuthorizationHeaderMalformed" if status == 400 else "PermanentRedirect"
    body = f"<Error><Code>{code}</Code><Region>us-east-1</Region>"
    body += f"<Endpoint>127.141.0.12:{other.port}</Endpoint></Error>"
    endpoint = await endpoint_at(answer=lambda _request: (status, body.encode()))
    aws = Aws(context(), connection_to(endpoint.url), call_s=1.0)
    with pytest.raises((Rejected, AuthRejected)):
        await aws.mutate("s3", "put_object", Bucket="b", Key="k", Body=b"{}")
    assert [request.method for request in endpoint.requests] == ["PUT"]
    assert other.connections == 0


async def test_a_refused_connection_is_not_an_unknown_outcome(connection_to, context):
    """Nothing listened, so nothing can have happened, and a retry is safe."""
    aws = Aws(context(), connection_to("http://127.142.0.11:18999"))
    with pytest.raises(Unavailable):
        await aws.mutate("rds", "promote_read_replica", **PROMOTE)


async def test_nothing_is_sent_after_the_deadline(endpoint_at, connection_to, context):
    endpoint = await endpoint_at()
    with pytest.raises(Unavailable, match="not sent"):
        await Aws(context(0), connection_to(endpoint.url)).mutate(
            "rds", "promote_read_replica", **PROMOTE
        )
    assert endpoint.connections == 0


async def test_the_deadline_ends_a_call_that_hangs(endpoint_at, connection_to, context):
    endpoint = await endpoint_at(answer=lambda _request: "hang")
    ctx = context(1.5)
    with pytest.raises(OutcomeUnknown):
        await Aws(ctx, connection_to(endpoint.url)).mutate("rds", "promote_read_replica", **PROMOTE)
    assert -3 < ctx.deadline.at_s - ctx.clock.now().boot_s <= 0.1


async def test_a_read_is_asked_again_until_it_is_answered(endpoint_at, connection_to, context):
    answers = iter(
        [(500, b""), "close", error("Throttling", 400), (200, INSTANCES), (200, INSTANCES)]
    )
    endpoint = await endpoint_at(answer=lambda _request: next(answers))
    answer = await Aws(context(), connection_to(endpoint.url)).read("rds", "describe_db_instances")
    assert answer["DBInstances"] == []
    assert len(endpoint.requests) == 4


async def test_a_read_without_patience_is_asked_once(endpoint_at, connection_to, context):
    endpoint = await endpoint_at(answer=lambda _request: "hang")
    aws = Aws(context(), connection_to(endpoint.url), call_s=0.5)
    with pytest.raises(Unavailable):
        await aws.read("rds", "describe_db_instances", patience=timedelta())
    assert len(endpoint.requests) == 1


async def test_requests_are_signed_with_the_environments_keys_for_its_region(
    endpoint_at, connection_to, context
):
    endpoint = await endpoint_at(answer=lambda _request: (200, INSTANCES))
    await Aws(context(), connection_to(endpoint.url)).read("rds", "describe_db_instances")
    signed = endpoint.requests[0].headers["authorization"]
    assert re.search(r"Credential=AKIALABLABLABLABLAB1/\d{8}/us-west-2/rds/aws4_request", signed)
