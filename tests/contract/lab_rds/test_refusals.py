"""What AWS refuses, the emulation refuses, with the same codes."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from .conftest import EAST, PROD, STANDBY, WEST, Estate, postgres_from


def refusal(call: Any, /, *arguments: Any, **named: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("describe_db_instances", {}),
        ("promote_read_replica", {}),
        ("reboot_db_instance", {}),
        ("modify_db_instance", {"BackupRetentionPeriod": 2}),
        ("stop_db_instance", {}),
        ("start_db_instance", {}),
        ("delete_db_instance", {"SkipFinalSnapshot": True}),
    ],
)
def test_an_unknown_instance_is_not_found(
    estate: Estate, operation: str, more: dict[str, Any]
) -> None:
    call = getattr(estate.client("rds", WEST), operation)
    assert refusal(call, DBInstanceIdentifier="nobody", **more) == ("DBInstanceNotFound", 404)


def test_an_instance_is_not_found_in_another_region(estate: Estate) -> None:
    call = estate.client("rds", WEST).describe_db_instances
    assert refusal(call, DBInstanceIdentifier=PROD)[0] == "DBInstanceNotFound"


def test_a_primary_cannot_be_promoted(estate: Estate) -> None:
    call = estate.client("rds", EAST).promote_read_replica
    assert refusal(call, DBInstanceIdentifier=PROD) == ("InvalidDBInstanceState", 400)


def test_a_replica_can_be_promoted_once_only(estate: Estate) -> None:
    rds = estate.client("rds", WEST)
    with estate.replica() as spare:
        rds.promote_read_replica(DBInstanceIdentifier=spare)
        again = refusal(rds.promote_read_replica, DBInstanceIdentifier=spare)
        assert again == ("InvalidDBInstanceState", 400)
        meanwhile = refusal(
            rds.modify_db_instance, DBInstanceIdentifier=spare, BackupRetentionPeriod=2
        )
        assert meanwhile == ("InvalidDBInstanceState", 400)
        estate.await_status(WEST, spare, "available")
        later = refusal(rds.promote_read_replica, DBInstanceIdentifier=spare)
        assert later == ("InvalidDBInstanceState", 400)


def test_neither_a_replica_nor_its_source_can_be_stopped(estate: Estate) -> None:
    for region, identifier in ((EAST, PROD), (WEST, STANDBY)):
        call = estate.client("rds", region).stop_db_instance
        assert refusal(call, DBInstanceIdentifier=identifier) == ("InvalidDBInstanceState", 400)


def test_a_running_instance_cannot_be_started(estate: Estate) -> None:
    call = estate.client("rds", EAST).start_db_instance
    assert refusal(call, DBInstanceIdentifier=PROD) == ("InvalidDBInstanceState", 400)


def test_a_deletion_without_a_word_on_the_last_snapshot_is_refused(estate: Estate) -> None:
    call = estate.client("rds", EAST).delete_db_instance
    assert refusal(call, DBInstanceIdentifier=PROD) == ("InvalidParameterCombination", 400)


def test_a_taken_name_is_refused(estate: Estate) -> None:
    with pytest.raises(ClientError, match="DBInstanceAlreadyExists"):
        estate.create_primary(EAST, PROD)


def test_an_instance_cannot_join_an_unknown_security_group(estate: Estate) -> None:
    call = estate.client("rds", EAST).modify_db_instance
    assert refusal(
        call, DBInstanceIdentifier=PROD, VpcSecurityGroupIds=["sg-00000000000000000"]
    ) == ("InvalidParameterValue", 400)


def test_an_unknown_security_group_is_not_found(estate: Estate) -> None:
    ec2, nowhere = estate.client("ec2", WEST), "sg-00000000000000000"
    rule = [postgres_from("10.0.0.0/8")]
    for code in (
        refusal(ec2.describe_security_groups, GroupIds=[nowhere]),
        refusal(ec2.authorize_security_group_ingress, GroupId=nowhere, IpPermissions=rule),
        refusal(ec2.revoke_security_group_ingress, GroupId=nowhere, IpPermissions=rule),
        refusal(ec2.delete_security_group, GroupId=nowhere),
    ):
        assert code == ("InvalidGroup.NotFound", 400)


@pytest.mark.parametrize(
    ("service", "call", "expected"),
    [
        ("rds", "describe_db_instances", ("SignatureDoesNotMatch", 403)),
        ("sts", "get_caller_identity", ("SignatureDoesNotMatch", 403)),
        ("ec2", "describe_security_groups", ("SignatureDoesNotMatch", 403)),
        ("elbv2", "describe_load_balancers", ("SignatureDoesNotMatch", 403)),
        ("s3", "list_buckets", ("AuthorizationHeaderMalformed", 400)),
    ],
)
def test_a_signature_for_another_region_is_refused(
    estate: Estate, service: str, call: str, expected: tuple[str, int]
) -> None:
    client = estate.client(service, WEST, signed_for=EAST)
    assert refusal(getattr(client, call)) == expected


@pytest.mark.parametrize(
    ("service", "call", "expected"),
    [
        ("rds", "describe_db_instances", ("InvalidClientTokenId", 403)),
        ("sts", "get_caller_identity", ("InvalidClientTokenId", 403)),
        ("ec2", "describe_security_groups", ("AuthFailure", 401)),
        ("s3", "list_buckets", ("InvalidAccessKeyId", 403)),
    ],
)
def test_an_unknown_key_is_refused(
    estate: Estate, service: str, call: str, expected: tuple[str, int]
) -> None:
    client = estate.client(service, EAST, key_id="AKIAUNKNOWNUNKNOWN00")
    assert refusal(getattr(client, call)) == expected


def test_a_known_key_belongs_to_the_account(estate: Estate) -> None:
    for region in (EAST, WEST):
        assert estate.client("sts", region).get_caller_identity()["Account"] == "123456789012"


def test_global_services_live_in_the_east_only(estate: Estate) -> None:
    for service, call in (("route53", "list_hosted_zones"), ("iam", "list_users")):
        getattr(estate.client(service, EAST), call)()
        away = estate.client(service, WEST, signed_for=EAST)
        assert refusal(getattr(away, call)) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize(
    ("service", "call", "named"),
    [
        ("rds", "describe_pending_maintenance_actions", {}),
        (
            "rds",
            "copy_db_snapshot",
            {"SourceDBSnapshotIdentifier": "s", "TargetDBSnapshotIdentifier": "t"},
        ),
        ("rds", "switchover_read_replica", {"DBInstanceIdentifier": STANDBY}),
        ("drs", "describe_source_servers", {}),
    ],
)
def test_what_is_not_emulated_is_an_error_that_clients_can_read(
    estate: Estate, service: str, call: str, named: dict[str, Any]
) -> None:
    client = estate.client(service, WEST)
    code, status = refusal(getattr(client, call), **named)
    assert (code, status) == ("InvalidAction", 400)


def test_an_unsigned_call_is_refused(estate: Estate) -> None:
    client = estate.client("rds", EAST, timeout_s=9)  # not the one that the other tests share
    client.meta.events.register("choose-signer.rds", lambda **_: UNSIGNED)
    assert refusal(client.describe_db_instances) == ("MissingAuthenticationToken", 403)


def test_a_public_object_can_be_read_without_keys_but_only_in_its_region(
    estate: Estate,
) -> None:
    bucket = estate.new_name("bucket")
    s3 = estate.client("s3", WEST)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": WEST})

    def get(region: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*estate.plan.aws_address(region), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    assert get(WEST, f"/{bucket}/engaged")[0] == 404
    s3.put_object(Bucket=bucket, Key="engaged", Body=b"by drctl")
    assert get(WEST, f"/{bucket}/engaged")[0] == 403
    anyone_may_read = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/engaged",
    }
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [anyone_may_read]}),
    )
    assert get(WEST, f"/{bucket}/engaged") == (200, b"by drctl")
    assert get(EAST, f"/{bucket}/engaged")[0] == 301
    assert get(WEST, "/moto-api/data.json")[0] == 403
    s3.delete_object(Bucket=bucket, Key="engaged")
    assert get(WEST, f"/{bucket}/engaged")[0] == 404


def test_a_signed_call_for_a_bucket_elsewhere_is_redirected(estate: Estate) -> None:
    bucket = estate.new_name("bucket")
    estate.client("s3", WEST).create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": WEST}
    )
    code, _ = refusal(estate.client("s3", EAST).list_objects_v2, Bucket=bucket)
    assert code in {"PermanentRedirect", "AuthorizationHeaderMalformed"}
