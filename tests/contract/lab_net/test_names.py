"""What the lab's Route 53 answers, asked by dnspython over real sockets and by boto3 over HTTP."""

import asyncio
import json
import secrets
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from botocore.exceptions import ClientError

from drctl.lab.aws.route53 import Route53Overlay
from drctl.lab.checks import HealthCheckers

from .conftest import PLAN, WEST, Aws, until

ANYONE_MAY_READ = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::healing-guard-switch/engaged",
            }
        ],
    }
)


async def ask(
    name: str, type_: str = "A", *, tcp: bool = False, edns: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, type_, use_edns=edns)
    host, port = PLAN.dns
    if tcp:
        return await dns.asyncquery.tcp(query, host, port=port, timeout=5)
    return await dns.asyncquery.udp(query, host, port=port, timeout=5)


async def addresses(name: str) -> list[str]:
    answer = (await ask(name)).answer
    return [str(rdata) for rrset in answer for rdata in rrset if rrset.rdtype == dns.rdatatype.A]


def make_zone(aws: Aws, name: str = "healing-guard.com") -> str:
    zone = aws.client("route53").create_hosted_zone(Name=name, CallerReference=secrets.token_hex(4))
    return str(zone["HostedZone"]["Id"])


def change(aws: Aws, zone: str, *changes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    batch = {
        "Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
    }
    answer = aws.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    return dict(answer["ChangeInfo"])


def status_of(aws: Aws, change_id: str) -> str:
    return str(aws.client("route53").get_change(Id=change_id)["ChangeInfo"]["Status"])


async def insync(aws: Aws, info: dict[str, Any]) -> None:
    await until(lambda: status_of(aws, info["Id"]) == "INSYNC")


def a_record(name: str, *values: str, **more: Any) -> dict[str, Any]:
    values_ = [{"Value": value} for value in values]
    return {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": values_, **more}


def refusal(aws: Aws, zone: str, *changes: tuple[str, dict[str, Any]]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        change(aws, zone, *changes)
    response: Any = caught.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


async def test_a_change_is_served_only_when_it_is_insync(aws: Aws, names: dict[str, str]) -> None:
    zone = await asyncio.to_thread(make_zone, aws)
    first = await asyncio.to_thread(
        change, aws, zone, ("CREATE", a_record("api.healing-guard.com", "127.121.3.1"))
    )
    assert first["Status"] == "PENDING"
    assert (await ask("api.healing-guard.com")).rcode() == dns.rcode.NXDOMAIN
    await insync(aws, first)
    assert await addresses("api.healing-guard.com") == ["127.121.3.1"]

    second = await asyncio.to_thread(
        change, aws, zone, ("UPSERT", a_record("api.healing-guard.com", "127.122.3.1"))
    )
    listed = await asyncio.to_thread(
        aws.client("route53").list_resource_record_sets, HostedZoneId=zone
    )
    shown = [r for r in listed["ResourceRecordSets"] if r["Type"] == "A"]
    assert shown[0]["ResourceRecords"] == [{"Value": "127.122.3.1"}]
    assert await addresses("api.healing-guard.com") == ["127.121.3.1"]
    await insync(aws, second)
    assert await addresses("API.Healing-Guard.com.") == ["127.122.3.1"]


async def test_names_that_are_not_ours_are_refused_and_unknown_ones_do_not_exist(
    aws: Aws, names: dict[str, str]
) -> None:
    await asyncio.to_thread(make_zone, aws)
    names["db.c9akciq32.us-east-1.rds.amazonaws.com"] = "127.121.1.1"
    assert (await ask("example.org")).rcode() == dns.rcode.REFUSED
    unknown = await ask("nothing.healing-guard.com")
    assert unknown.rcode() == dns.rcode.NXDOMAIN
    assert unknown.authority[0].rdtype == dns.rdatatype.SOA
    assert (await ask("healing-guard.com", "A")).rcode() == dns.rcode.NOERROR
    assert await addresses("db.c9akciq32.us-east-1.rds.amazonaws.com") == ["127.121.1.1"]
    other = await ask("gone.c9akciq32.us-east-1.rds.amazonaws.com")
    assert other.rcode() == dns.rcode.NXDOMAIN


async def test_a_cname_is_chased_into_names_that_aws_owns(aws: Aws, names: dict[str, str]) -> None:
    zone = await asyncio.to_thread(make_zone, aws)
    names["lb-1.us-east-1.elb.amazonaws.com"] = "127.121.3.1"
    cname = {"Type": "CNAME", "TTL": 5}
    done = await asyncio.to_thread(
        change,
        aws,
        zone,
        (
            "CREATE",
            cname
            | {
                "Name": "www.healing-guard.com",
                "ResourceRecords": [{"Value": "app.healing-guard.com"}],
            },
        ),
        (
            "CREATE",
            cname
            | {
                "Name": "app.healing-guard.com",
                "ResourceRecords": [{"Value": "lb-1.us-east-1.elb.amazonaws.com"}],
            },
        ),
        (
            "CREATE",
            cname
            | {"Name": "out.healing-guard.com", "ResourceRecords": [{"Value": "example.org"}]},
        ),
    )
    await insync(aws, done)
    answer = (await ask("www.healing-guard.com", tcp=True)).answer
    assert [dns.rdatatype.to_text(r.rdtype) for r in answer] == ["CNAME", "CNAME", "A"]
    assert await addresses("www.healing-guard.com") == ["127.121.3.1"]
    outside = (await ask("out.healing-guard.com", edns=True)).answer
    assert [str(rrset[0]) for rrset in outside] == ["example.org."]


async def test_an_answer_too_long_for_udp_is_fetched_over_tcp(
    aws: Aws, names: dict[str, str]
) -> None:
    zone = await asyncio.to_thread(make_zone, aws)
    many = [f"10.0.0.{n}" for n in range(1, 60)]
    done = await asyncio.to_thread(
        change, aws, zone, ("CREATE", a_record("many.healing-guard.com", *many))
    )
    await insync(aws, done)
    query = dns.message.make_query("many.healing-guard.com", "A", use_edns=False)
    host, port = PLAN.dns
    reply, used_tcp = await dns.asyncquery.udp_with_fallback(query, host, port=port, timeout=5)
    assert used_tcp
    assert len(reply.answer[0]) == 59


async def test_the_inverted_check_on_the_switch_object_moves_the_failover_pair(
    aws: Aws, names: dict[str, str], checkers: HealthCheckers
) -> None:
    east, west = "east-1.us-east-1.elb.amazonaws.com", "west-1.us-west-2.elb.amazonaws.com"
    names |= {east: "127.121.3.1", west: "127.122.3.1"}
    s3 = aws.client("s3", WEST)
    route53 = aws.client("route53")

    def prepare() -> tuple[dict[str, Any], str]:
        s3.create_bucket(
            Bucket="healing-guard-switch",
            CreateBucketConfiguration={"LocationConstraint": WEST},
        )
        s3.put_bucket_policy(Bucket="healing-guard-switch", Policy=ANYONE_MAY_READ)
        host, port = PLAN.aws_address(WEST)
        check = route53.create_health_check(
            CallerReference="switch",
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
        zone = make_zone(aws)

        def alias(side: str, name: str, **more: Any) -> dict[str, Any]:
            return {
                "Name": "api.healing-guard.com",
                "Type": "A",
                "SetIdentifier": side.lower(),
                "Failover": side,
                "AliasTarget": {
                    "HostedZoneId": "Z2P70J7EXAMPLE",
                    "DNSName": name,
                    "EvaluateTargetHealth": False,
                },
                **more,
            }

        done = change(
            aws,
            zone,
            ("UPSERT", alias("PRIMARY", east, HealthCheckId=check)),
            ("UPSERT", alias("SECONDARY", west)),
        )
        return done, check

    done, check = await asyncio.to_thread(prepare)
    await insync(aws, done)
    await until(lambda: checkers.healthy(check))
    answer = (await ask("api.healing-guard.com")).answer
    assert [(rrset.ttl, str(rrset[0])) for rrset in answer] == [(1, "127.121.3.1")]

    await asyncio.to_thread(s3.put_object, Bucket="healing-guard-switch", Key="engaged", Body=b"{}")
    assert await until(lambda: not checkers.healthy(check)) < 3
    assert await addresses("api.healing-guard.com") == ["127.122.3.1"]
    seen = await asyncio.to_thread(route53.get_health_check_status, HealthCheckId=check)
    report = seen["HealthCheckObservations"][0]["StatusReport"]["Status"]
    assert report.startswith("Success: HTTP Status Code: 200")

    await asyncio.to_thread(s3.delete_object, Bucket="healing-guard-switch", Key="engaged")
    assert await until(lambda: checkers.healthy(check)) < 3
    assert await addresses("api.healing-guard.com") == ["127.121.3.1"]


async def test_an_inverted_check_that_cannot_connect_is_healthy(
    aws: Aws, dns_control: Route53Overlay, checkers: HealthCheckers
) -> None:
    def create(*, inverted: bool) -> str:
        answer = aws.client("route53").create_health_check(
            CallerReference=secrets.token_hex(4),
            HealthCheckConfig={
                "Type": "HTTP",
                "IPAddress": "127.122.0.99",
                "Port": 4566,
                "RequestInterval": 10,
                "FailureThreshold": 1,
                "Inverted": inverted,
            },
        )
        return str(answer["HealthCheck"]["Id"])

    inverted = await asyncio.to_thread(lambda: create(inverted=True))
    plain = await asyncio.to_thread(lambda: create(inverted=False))
    await until(lambda: checkers.observation(inverted) is not None)
    await until(lambda: checkers.observation(plain) is not None)
    assert checkers.healthy(inverted)
    assert not checkers.healthy(plain)


async def test_a_weighted_set_leaves_out_unhealthy_and_weightless_records(
    aws: Aws, names: dict[str, str]
) -> None:
    zone = await asyncio.to_thread(make_zone, aws)
    done = await asyncio.to_thread(
        change,
        aws,
        zone,
        ("CREATE", a_record("w.healing-guard.com", "10.0.0.1", SetIdentifier="a", Weight=0)),
        ("CREATE", a_record("w.healing-guard.com", "10.0.0.2", SetIdentifier="b", Weight=10)),
    )
    await insync(aws, done)
    assert {tuple(await addresses("w.healing-guard.com")) for _ in range(20)} == {("10.0.0.2",)}


def test_unknown_ids_are_404_in_their_own_words(aws: Aws, dns_control: Route53Overlay) -> None:
    route53 = aws.client("route53")
    for call, code in [
        (lambda: route53.get_change(Id="C0UNKNOWN"), "NoSuchChange"),
        (lambda: route53.get_hosted_zone(Id="Z0UNKNOWN"), "NoSuchHostedZone"),
        (
            lambda: change(
                aws, "Z0UNKNOWN", ("UPSERT", a_record("a.healing-guard.com", "10.0.0.1"))
            ),
            "NoSuchHostedZone",
        ),
        (lambda: route53.get_health_check_status(HealthCheckId="nope"), "NoSuchHealthCheck"),
        (lambda: route53.delete_health_check(HealthCheckId="nope"), "NoSuchHealthCheck"),
    ]:
        with pytest.raises(ClientError) as caught:
            call()
        response: Any = caught.value.response
        assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
            code,
            404,
        )
    assert status_of(
        aws, route53.create_hosted_zone(Name="x.org", CallerReference="x")["ChangeInfo"]["Id"]
    )


def test_what_route53_refuses_is_refused_and_a_batch_is_all_or_nothing(
    aws: Aws, dns_control: Route53Overlay
) -> None:
    zone = make_zone(aws)
    api = a_record("api.healing-guard.com", "10.0.0.1")
    cname = {"Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "example.org"}]}
    change(aws, zone, ("CREATE", api))

    code, http, text = refusal(
        aws, zone, ("CREATE", a_record("new.healing-guard.com", "10.0.0.9")), ("CREATE", api)
    )
    assert (code, http) == ("InvalidChangeBatch", 400)
    assert "[name='api.healing-guard.com.', type='A'] but it already exists" in text
    listed = aws.client("route53").list_resource_record_sets(HostedZoneId=zone)
    assert "new.healing-guard.com." not in [r["Name"] for r in listed["ResourceRecordSets"]]

    expected = {
        "permitted at apex": ("CREATE", cname | {"Name": "healing-guard.com"}),
        "conflicts with other records": ("CREATE", cname | {"Name": "api.healing-guard.com"}),
        "do not match the current": ("DELETE", api | {"TTL": 61}),
        "but it was not found": ("DELETE", a_record("no.healing-guard.com", "10.0.0.1")),
        "is not permitted in zone": ("CREATE", a_record("api.example.org", "10.0.0.1")),
        "not a valid IPv4": ("CREATE", a_record("bad.healing-guard.com", "localhost")),
    }
    for words, wrong in expected.items():
        code, http, text = refusal(aws, zone, wrong)
        assert (code, http) == ("InvalidChangeBatch", 400), words
        assert words in text

    code, http, _ = refusal(
        aws,
        zone,
        (
            "CREATE",
            a_record(
                "hc.healing-guard.com",
                "10.0.0.1",
                SetIdentifier="p",
                Failover="PRIMARY",
                HealthCheckId="11111111-1111-1111-1111-111111111111",
            ),
        ),
    )
    assert (code, http) == ("NoSuchHealthCheck", 404)
    code, _, _ = refusal(aws, zone, ("CREATE", {"Name": "e.healing-guard.com", "Type": "A"}))
    assert code == "InvalidInput"
    change(aws, zone, ("DELETE", api), ("CREATE", cname | {"Name": "api.healing-guard.com"}))


def test_a_health_check_is_created_once_per_caller_reference(
    aws: Aws, dns_control: Route53Overlay
) -> None:
    route53 = aws.client("route53")
    config = {"Type": "HTTP", "IPAddress": "127.122.0.99", "Port": 80}
    first = route53.create_health_check(CallerReference="one", HealthCheckConfig=config)
    again = route53.create_health_check(CallerReference="one", HealthCheckConfig=config)
    assert again["HealthCheck"]["Id"] == first["HealthCheck"]["Id"]
    with pytest.raises(ClientError, match="HealthCheckAlreadyExists"):
        route53.create_health_check(CallerReference="one", HealthCheckConfig=config | {"Port": 81})
