"""An older version of an object comes back without a loss; an image is where it must be."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from drctl.actions.contract import Change, Done, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound
from drctl.adapters.aws.ecr import CheckImage, ImageParams
from drctl.adapters.aws.s3_restore import RestoreParams, RestoreVersion

RESTORE, IMAGE = RestoreVersion(), CheckImage()


@pytest.fixture
def bucket(edge):
    """A versioned bucket with an object that was good and is bad; its name and the good version."""
    s3, name = edge.client("s3"), f"bucket-{next(edge.numbers)}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    good = s3.put_object(Bucket=name, Key="prices", Body=b"good")["VersionId"]
    s3.put_object(Bucket=name, Key="prices-of-others", Body=b"other")
    bad = s3.put_object(Bucket=name, Key="prices", Body=b"bad")["VersionId"]
    return name, good, bad


def content(edge, name):
    return edge.client("s3").get_object(Bucket=name, Key="prices")["Body"].read()


def versions(edge, name):
    return edge.client("s3").list_object_versions(Bucket=name, Prefix="prices")["Versions"]


async def test_an_older_version_is_made_the_current_one_and_nothing_is_lost(edge, bucket, context):
    name, good, bad = bucket
    target, params = edge.bucket(name), RestoreParams(key="prices", version=good)
    seen = await RESTORE.observe(context(), target, params)
    assert isinstance(RESTORE.preview(seen, target, params), Change)
    assert isinstance(await RESTORE.settled(context(), target, params), NotDone)
    done = await RESTORE.perform(context(), target, params)
    assert (done.previous, done.restored_from) == (bad, good)
    assert content(edge, name) == b"good"
    assert {good, bad, done.version} <= {one["VersionId"] for one in versions(edge, name)}
    assert isinstance(await RESTORE.settled(context(), target, params), Done)
    count = len(versions(edge, name))
    await RESTORE.perform(context(), target, params)
    assert len(versions(edge, name)) == count, "twice made two"
    seen = await RESTORE.observe(context(), target, params)
    assert isinstance(RESTORE.preview(seen, target, params), Nothing)


async def test_what_was_deleted_comes_back(edge, bucket, context):
    name, good, _bad = bucket
    edge.client("s3").delete_object(Bucket=name, Key="prices")
    params = RestoreParams(key="prices", version=good)
    done = await RESTORE.perform(context(), edge.bucket(name), params)
    assert done.previous == "none"
    assert content(edge, name) == b"good"


async def test_a_moment_picks_the_newest_version_before_it(edge, bucket, context):
    name, _good, bad = bucket
    later = RestoreParams(key="prices", before=datetime.now(UTC) + timedelta(seconds=5))
    assert (await RESTORE.observe(context(), edge.bucket(name), later)).facts["wanted"] == bad
    early = RestoreParams(key="prices", before=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(NotFound, match="no such version"):
        await RESTORE.perform(context(), edge.bucket(name), early)
    with pytest.raises(ValueError, match="timezone"):
        RestoreParams(key="prices", before="2026-11-23 05:00:00")
    with pytest.raises(ValueError, match="either version or before"):
        RestoreParams(key="prices")


async def test_what_changed_since_the_plan_is_not_overwritten(edge, bucket, context):
    import dataclasses

    name, good, _bad = bucket
    seen = {"current": "of-another-time", "wanted": good}
    ctx = dataclasses.replace(context(), seen=seen)
    with pytest.raises(Conflict, match="was at of-another-time in the plan"):
        await RESTORE.perform(ctx, edge.bucket(name), RestoreParams(key="prices", version=good))
    assert content(edge, name) == b"bad"


async def test_a_bucket_without_versions_has_nothing_to_go_back_to(edge, context):
    s3, name = edge.client("s3"), f"bucket-{next(edge.numbers)}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="prices", Body=b"only")
    params = RestoreParams(key="prices", before=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(Conflict, match="keeps no versions"):
        await RESTORE.perform(context(), edge.bucket(name), params)


async def test_an_image_is_there_under_its_tag_and_its_digest(edge, context):
    ecr, name = edge.client("ecr"), f"app-{next(edge.numbers)}"
    ecr.create_repository(repositoryName=name)
    config = {"digest": f"sha256:{'1' * 64}", "size": 1}
    manifest = {"schemaVersion": 2, "config": config, "layers": []}
    manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    put = ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1.0.0")
    digest, target = put["image"]["imageId"]["imageDigest"], edge.repository(name)
    assert (await IMAGE.perform(context(), target, ImageParams(tag="1.0.0"))).digest == digest
    found = await IMAGE.perform(context(), target, ImageParams(digest=digest))
    assert found.tags == ("1.0.0",)
    moved = ImageParams(tag="1.0.0", digest=f"sha256:{'0' * 64}")
    with pytest.raises(Conflict, match="not sha256:0"):
        await IMAGE.perform(context(), target, moved)
    with pytest.raises(NotFound):
        await IMAGE.perform(context(), target, ImageParams(tag="2.0.0"))
    with pytest.raises(NotFound):
        await IMAGE.perform(context(), edge.repository("never-was"), ImageParams(tag="1.0.0"))
    with pytest.raises(ValueError, match="a tag, a digest"):
        ImageParams()
