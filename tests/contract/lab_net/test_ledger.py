"""N mutations are N lines; what was refused, what failed and what only reads are none."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drctl.kernel.clock import SystemClock
from drctl.kernel.ledger import append, entry, read
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.route53 import Route53Overlay
from drctl.lab.recorder import SLACK_WEBHOOK, STATUSPAGE_PAGE, STATUSPAGE_TOKEN, Recorder

from .conftest import EAST, PLAN, WEST


@pytest.fixture
def aws(tmp_path: Path):
    plane = AwsControlPlane(
        PLAN,
        overlays=[Route53Overlay(VendorDelays()).install, Elbv2Overlay().install],
        ledger=tmp_path / "ledger.jsonl",
    )
    plane.start()

    def client(service: str, region: str = EAST, key: str = "AKIALABLABLABLABLAB1"):
        return boto3.client(
            service, region_name=region, endpoint_url=PLAN.aws_url(region),
            aws_access_key_id=key, aws_secret_access_key="not-a-secret",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )  # fmt: skip

    yield client
    plane.stop()


def test_aws_notes_what_it_applied_and_nothing_else(aws, tmp_path):
    """Query, REST-XML and S3: each operation once, with its key, in its region."""
    ledger, wanted = tmp_path / "ledger.jsonl", []

    def applied(where: str, operation: str, target: str) -> None:
        wanted.append((where, operation))
        lines = read(ledger)
        assert [(line["where"], line["operation"]) for line in lines] == wanted
        assert target in lines[-1]["target"], lines[-1]

    s3, ec2, dns = aws("s3", WEST), aws("ec2", WEST), aws("route53")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": WEST})
    applied(f"aws {WEST}", "s3.PUT", "/bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x" * 100_000)
    applied(f"aws {WEST}", "s3.PUT", "/bucket/k")
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x" * 100_000
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    applied(f"aws {WEST}", "ec2.CreateSecurityGroup", "g")
    zone = dns.create_hosted_zone(Name="example.com", CallerReference="ref-1")["HostedZone"]["Id"]
    applied(f"aws {EAST}", "route53.POST", "hostedzone")
    assert read(ledger)[-1]["key"] == "ref-1"

    def change(action: str) -> None:
        record = {"Name": "a.example.com", "Type": "A", "TTL": 5,
                  "ResourceRecords": [{"Value": "127.0.0.1"}]}  # fmt: skip
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    change("CREATE")
    applied(f"aws {EAST}", "route53.POST", "a.example.com")
    refused = [
        lambda: change("CREATE"),  # it exists
        lambda: ec2.delete_security_group(GroupId="sg-none"),
        lambda: s3.put_object(Bucket="none", Key="k", Body=b""),
        lambda: aws("s3", WEST, key="AKIANOBODYNOBODYNOBO").delete_object(Bucket="bucket", Key="k"),
    ]
    for call in refused:
        with pytest.raises(ClientError):
            call()
    s3.list_objects_v2(Bucket="bucket")
    ec2.describe_security_groups(GroupIds=[group])
    dns.list_resource_record_sets(HostedZoneId=zone)
    aws("sts").get_caller_identity()
    assert len(read(ledger)) == len(wanted)
    s3.delete_object(Bucket="bucket", Key="k")
    applied(f"aws {WEST}", "s3.DELETE", "/bucket/k")
    assert len({line["request"] for line in read(ledger)}) == len(wanted)
    assert ledger.stat().st_mode & 0o777 == 0o600


async def test_the_recorder_notes_what_it_accepted_and_nothing_else(tmp_path):
    """Also what it did before it lost the reply: that is what a ledger is for."""
    ledger = tmp_path / "ledger.jsonl"
    recorder = Recorder(tmp_path / "recorded.jsonl", ledger=ledger)
    await recorder.start(*PLAN.recorder)
    key = {"Authorization": f"OAuth {STATUSPAGE_TOKEN}"}
    pages = f"/v1/pages/{STATUSPAGE_PAGE}/incidents"
    incident = {"incident": {"name": "n", "status": "investigating"}}
    try:
        async with aiohttp.ClientSession(PLAN.recorder_url) as client:
            hook = f"/services/{SLACK_WEBHOOK}"
            await client.post(hook, json={"text": "hello"})
            await client.post(hook, json={"nothing": "x"})
            await client.post("/services/T1/B1/x", json={"text": "hello"})
            await client.post(pages, json=incident, headers=key)
            await client.post(pages, json=incident)
            await client.get(pages, headers=key)
            await client.put("/_faults", json={"slack": {"status": 500, "times": 1}})
            await client.post(hook, json={"text": "not accepted"})
            await client.put("/_faults", json={"slack": {"lose_reply": True, "times": 1}})
            with contextlib.suppress(aiohttp.ClientError):
                await client.post(hook, json={"text": "accepted, unanswered"})
    finally:
        await recorder.stop()
    lines = [(line["where"], line["operation"]) for line in read(ledger)]
    assert lines == [
        ("slack", "webhook"),
        ("statuspage", "incident.create"),
        ("slack", "webhook"),
    ]


def test_lines_of_many_writers_stay_whole(tmp_path):
    """One write to a file that only grows."""
    ledger, now = tmp_path / "ledger.jsonl", SystemClock().now()

    def write(number: int) -> None:
        append(ledger, entry(now, "x", "op", "t", {"n": number}, applied={"pad": "x" * 3000}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(400)))
    lines = read(ledger)
    assert len(lines) == 400
    assert len({line["request"] for line in lines}) == 400
    with ledger.open("ab") as file:
        file.write(b'{"cut')
    assert len(read(ledger)) == 400
    assert read(tmp_path / "none") == []
