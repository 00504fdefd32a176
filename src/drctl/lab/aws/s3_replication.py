"""
S3's replication, made real over moto: which stores the configuration, and copies nothing.

A new version in a bucket with rules is ``PENDING`` until it has been copied, then ``COMPLETED``,
and the copy is a ``REPLICA`` under the same version id. What only a person can put right (the
destination is gone, or keeps no versions) ends as ``FAILED`` and is never tried again; while a
region does not answer, or somebody cut the link, it stays ``PENDING``. See "Getting replication
status information" in the S3 user guide.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.s3.exceptions import ReplicationConfigurationNotFoundError, S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from drctl.lab.plan import ACCOUNT_ID

_LOG: Final = logging.getLogger(__name__)
_POLL_S: Final = 0.05
_STATUS: Final = "drctl_replication_status"
_Rule = Mapping[str, Any]


class _Refused(S3ClientError):
    status_code = HTTPStatus.BAD_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A version on its way."""

    key: FakeKey
    rule: _Rule
    due: float


class S3Replication:
    """The worker that moto does not have; an overlay of `AwsControlPlane`, and its switch."""

    def __init__(self, delay_s: float = 0.5) -> None:
        """
        Args:
            delay_s: How long a version is on its way at least.
        """
        self.delay_s = delay_s
        self._is_reachable: Callable[[str], bool] = lambda _: True
        self._is_stopped = False
        self._waiting: list[_Copy] = []
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._put = S3Backend.put_object

    def watch(self, is_reachable: Callable[[str], bool]) -> None:
        """Lets a region that does not answer delay what goes there or comes from there."""
        self._is_reachable = is_reachable

    def stop(self) -> None:
        """Cuts the link: new versions stay ``PENDING``."""
        self._is_stopped = True

    def go_on(self) -> None:
        """Mends it; what waits is copied."""
        self._is_stopped = False

    def install(self) -> Callable[[], None]:
        """
        Makes moto's S3 replicate in this process, and starts the worker.

        Returns:
            What ends it, and gives moto its own behaviour back.
        """
        described = FakeKey.__dict__["response_dict"].fget

        def put_object(backend: S3Backend, *args: Any, **kwargs: Any) -> FakeKey:
            key = self._put(backend, *args, **kwargs)
            self._take(backend, key)
            return key

        def response_dict(key: FakeKey) -> dict[str, Any]:
            status = getattr(key, _STATUS, None)
            more = {"x-amz-replication-status": status} if status else {}
            return {**described(key), **more}

        patches: list[tuple[Any, str, Any]] = [
            (S3Backend, "put_object", put_object),
            (S3Backend, "put_bucket_replication", _checked(S3Backend.put_bucket_replication)),
            (S3Backend, "put_bucket_versioning", _held(S3Backend.put_bucket_versioning)),
            (S3Response, "get_bucket_replication", _shown),
            (FakeKey, "response_dict", property(response_dict)),
        ]
        originals = [(owner, name, owner.__dict__[name]) for owner, name, _ in patches]
        for owner, name, value in patches:
            setattr(owner, name, value)
        self._end.clear()
        worker = threading.Thread(target=self._work, name="s3-replication", daemon=True)
        worker.start()

        def undo() -> None:
            self._end.set()
            worker.join()
            self._waiting.clear()
            for owner, name, original in originals:
                setattr(owner, name, original)

        return undo

    def _take(self, backend: S3Backend, key: FakeKey) -> None:
        bucket = backend.get_bucket(str(key.bucket_name))
        rule = _rule_for(bucket, key.name)
        if rule is None or not bucket.is_versioned:
            return
        setattr(key, _STATUS, "PENDING")
        with self._lock:
            self._waiting.append(_Copy(key=key, rule=rule, due=time.monotonic() + self.delay_s))

    def _work(self) -> None:
        while not self._end.wait(_POLL_S):
            with self._lock:
                due = [one for one in self._waiting if one.due <= time.monotonic()]
            for one in due:
                try:
                    is_over = self._copy(one)
                except Exception:  # noqa: BLE001  the worker outlives a bug, and says it
                    _LOG.exception("a version could not be replicated")
                    is_over = False
                if is_over:
                    with self._lock:
                        self._waiting.remove(one)

    def _copy(self, one: _Copy) -> bool:
        """Copies a version; False while it has to wait."""
        backend = s3_backends[ACCOUNT_ID]["aws"]
        source = backend.buckets.get(str(one.key.bucket_name))
        if source is None:
            return True
        there = backend.buckets.get(_destination(one.rule))
        places = [source.region_name, *([there.region_name] if there else [])]
        if self._is_stopped or not all(map(self._is_reachable, places)):
            return False
        if there is None or not there.is_versioned:
            setattr(one.key, _STATUS, "FAILED")
            return True
        made = self._put(
            backend, there.name, one.key.name, value=one.key.value, etag=one.key.etag,
            multipart=one.key.multipart, disable_notification=True,
        )  # fmt: skip
        made._version_id = one.key.version_id
        made.set_metadata(one.key.metadata)
        setattr(made, _STATUS, "REPLICA")
        setattr(one.key, _STATUS, "COMPLETED")
        return True


def _rule_for(bucket: FakeBucket, key: str) -> _Rule | None:
    config = getattr(bucket, "replication", None) or {"Rule": ()}
    fitting = [
        rule
        for rule in config["Rule"]
        if rule["Status"] == "Enabled" and key.startswith(_prefix(rule))
    ]
    return max(fitting, key=lambda rule: int(rule["Priority"]), default=None)


def _prefix(rule: _Rule) -> str:
    return str((rule.get("Filter") or {}).get("Prefix") or rule.get("Prefix") or "")


def _destination(rule: _Rule) -> str:
    return str(rule["Destination"]["Bucket"]).rsplit(":", 1)[-1]


def _checked(original: Callable[..., None]) -> Callable[..., None]:
    """Refuses what S3 refuses, and what is not emulated."""

    def put(backend: S3Backend, bucket_name: str, replication: dict[str, Any]) -> None:
        rules = replication["Rule"]
        for rule in [rules] if isinstance(rules, dict) else rules:
            there = backend.buckets.get(_destination(rule))
            if there is None:
                raise _Refused("InvalidRequest", "Destination bucket must exist.")
            if not there.is_versioned:
                message = "Destination bucket must have versioning enabled."
                raise _Refused("InvalidRequest", message)
            if {"And", "Tag"} & set(rule.get("Filter") or {}):
                raise NotImplementedError("replication by tag")
            if (rule.get("DeleteMarkerReplication") or {}).get("Status") == "Enabled":
                raise NotImplementedError("replication of delete markers")
        original(backend, bucket_name, replication)

    return put


def _held(original: Callable[..., None]) -> Callable[..., None]:
    """A bucket that replicates keeps its versions."""

    def put(backend: S3Backend, bucket_name: str, status: str) -> None:
        if status != "Enabled" and getattr(backend.get_bucket(bucket_name), "replication", None):
            raise _Refused(
                "InvalidBucketState",
                "A replication configuration is present on this bucket, so the versioning state"
                " cannot be changed.",
            )
        original(backend, bucket_name, status)

    return put


def _shown(call: S3Response) -> Any:
    """The configuration as it was put: moto says that every rule is for every object."""
    call.data["Action"] = "GetBucketReplication"
    held = call.backend.get_bucket_replication(call.bucket_name)
    if not held:
        raise ReplicationConfigurationNotFoundError(bucket_name=call.bucket_name)
    rules = [
        {
            "ID": rule["ID"],
            "Priority": int(rule["Priority"]),
            "Status": rule["Status"],
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Filter": {"Prefix": _prefix(rule)},
            "Destination": {"Bucket": rule["Destination"]["Bucket"]},
        }
        for rule in held["Rule"]
    ]
    document = {"ReplicationConfiguration": {"Role": held["Role"], "Rules": rules}}
    return call.serialized(ActionResult(document))
