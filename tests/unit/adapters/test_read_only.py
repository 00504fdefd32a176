"""Clients that only read refuse every verb that is not known to read, whoever calls it what."""

import ast
from pathlib import Path
from types import MappingProxyType

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

import drctl.adapters.aws
from drctl.actions.contract import Context, NotPermittedError
from drctl.actions.errors import ActionError
from drctl.actions.targets import AwsConnection, KubernetesConnection
from drctl.adapters import _http, _read_only, _sql
from drctl.adapters.aws.client import Aws
from drctl.adapters.kubernetes.client import Cluster
from drctl.adapters.redis.link import Link
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret

SOURCE = Path(drctl.adapters.aws.__file__).parent


class NoSecrets:
    def resolve(self, ref):
        return Secret("nothing")


@pytest.fixture
def ctx():
    clock = SystemClock()
    return Context(clock=clock, deadline=Deadline.after(clock, _http.DEFAULT_TIMEOUT),
                   secrets=NoSecrets())  # fmt: skip


def model(service):
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def operations(service):
    seen = model(service)
    for name in seen.operation_names:
        one = seen.operation_model(name)
        yield name, seen.metadata["protocol"], one.http.get("method", "POST")


def called():
    """Every call of AWS in the source: method of the client, service, operation."""
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                words = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
                if node.func.attr in {"read", "once", "mutate"} and len(words) == 2:
                    yield node.func.attr, *words


def is_allowed(service, operation):
    pythonic = operation.replace("_", "").lower()
    [(name, protocol, method)] = [one for one in operations(service) if one[0].lower() == pythonic]
    try:
        _read_only.require_aws(name, protocol, method)
    except NotPermittedError:
        return False
    return True


def test_each_aws_call_of_the_source_is_a_read_exactly_when_it_is_called_as_one():
    calls = sorted(set(called()))
    assert len(calls) > 30
    wrong = [
        (kind, service, operation)
        for kind, service, operation in calls
        if is_allowed(service, operation) is (kind == "mutate")
    ]
    assert wrong == []


@pytest.mark.parametrize("service", ["rds", "ec2", "elbv2", "s3", "route53", "iam", "ecr", "ecs"])
def test_nothing_that_creates_deletes_or_modifies_is_a_read(service):
    told = {True: [], False: []}
    for name, protocol, method in operations(service):
        try:
            _read_only.require_aws(name, protocol, method)
            told[True].append(name)
        except NotPermittedError:
            told[False].append(name)
    verbs = ("Create", "Delete", "Modify", "Put", "Update", "Start", "Stop", "Reboot", "Promote",
             "Attach", "Detach", "Run", "Terminate", "Change", "Restore", "Add", "Remove",
             "Set")  # fmt: skip
    assert [name for name in told[True] if name.startswith(verbs)] == []
    assert told[True]
    assert told[False]


async def test_a_reading_aws_client_sends_no_write_even_when_an_adapter_calls_it_a_read(ctx):
    """The bug that this is for: `read` in the place of `mutate`."""
    connection = AwsConnection(
        region="us-west-2", account="123456789012", access_key_id="env:A",
        secret_access_key="env:B", endpoints={"rds": "http://127.0.0.1:9"},
    )  # fmt: skip
    aws = Aws(ctx, connection)
    with pytest.raises(NotPermittedError, match="PromoteReadReplica is no read"):
        await aws.once("rds", "promote_read_replica", DBInstanceIdentifier="x")
    with pytest.raises(ActionError):  # nobody is there, so it was tried
        await aws.once("rds", "describe_db_instances")


async def test_a_reading_kubernetes_client_sends_no_write(ctx, tmp_path):
    ca_file = tmp_path / "ca"
    ca_file.write_text("")
    connection = KubernetesConnection(
        server="https://127.0.0.1:9", ca_file=str(ca_file), token="env:T", cluster_uid="u",
        region="us-west-2",
    )  # fmt: skip
    cluster = Cluster(ctx, connection)
    cluster._client = _Counted()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(NotPermittedError):
            await cluster._call(method, "/api/v1/namespaces/x", {}, mutates=False)
    assert cluster._client.sent == []
    await cluster._call("GET", "/version", None, mutates=False)
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    await cluster._call("POST", reviews, {}, mutates=False, about=None)
    assert [method for method, _ in cluster._client.sent] == ["GET", "POST"]


class _Counted:
    def __init__(self):
        self.sent = []

    def call_api(self, method, url, **_more):
        self.sent.append((method, url))

        class Answer:
            status = 200
            headers = MappingProxyType({})

            def read(self):
                return b"{}"

        return Answer()


def test_a_command_in_a_pod_is_no_read():
    with pytest.raises(NotPermittedError):
        _read_only.require_kubernetes("GET", "https://x/api/v1/namespaces/a/pods/b/exec?command=rm")


async def test_http_that_changes_nothing_is_get_or_the_question_for_a_token(ctx):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(NotPermittedError):
            await _http.send(ctx, method, "http://127.0.0.1:9/", label="x", changes=False)
    with pytest.raises(ActionError):
        await _http.send(
            ctx, "POST", "http://127.0.0.1:9/", label="x", form={"a": "b"}, changes=False
        )


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO x VALUES (1)", "update x set a = 1", "DELETE FROM x", "TRUNCATE x",
        "ALTER SYSTEM SET a = b", "CREATE TABLE x()", "DROP TABLE x", "CHECKPOINT", "COPY x FROM y",
        "SELECT pg_promote()", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity",
        "SELECT pg_reload_conf()", "SELECT pg_drop_replication_slot('x')", "BEGIN",
        "BEGIN READ WRITE",
        "SET default_transaction_read_only = off", "SELECT 1; DELETE FROM x", "GRANT a TO b",
        "WITH x AS (DELETE FROM y RETURNING 1) SELECT 1", "SELECT 1 FROM x FOR UPDATE", "VACUUM",
        "/* SELECT */ DELETE FROM x", "DO $$ BEGIN END $$", "CALL x()", "LOCK TABLE x", "",
        "BEGIN READ WRITE READ ONLY", "EXPLAIN ANALYZE DELETE FROM x",
    ],
)  # fmt: skip
def test_sql_that_changes_something_is_refused_before_it_is_sent(statement):
    with pytest.raises(NotPermittedError):
        _read_only.require_sql(statement)


@pytest.mark.parametrize(
    ("statement", "is_read"),
    [
        ("SELECT 1", True), ("  select 'delete from x'", True), ("SHOW wal_level;", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True), ("ROLLBACK", False),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", False),
    ],
)  # fmt: skip
def test_sql_that_reads_is_let_through(statement, is_read):
    assert _read_only.require_sql(statement) is is_read


class _Session:
    """As asyncpg's connection, as far as `_sql` uses one."""

    def __init__(self):
        self.said = []

    def transaction(self, *, readonly=False):
        session = self

        class Frame:
            async def __aenter__(self):
                session.said.append("READ ONLY" if readonly else "BEGIN")

            async def __aexit__(self, *_error):
                session.said.append("END")

        return Frame()

    async def fetchval(self, statement):
        self.said.append(statement)


async def test_what_a_reading_session_sends_is_in_a_transaction_that_only_reads():
    """Of its own, so that nothing is left behind in a pooler's session."""
    session = _Session()
    reading = _sql._OnlyReads(session)
    await reading.fetchval("SELECT 1")
    assert session.said == ["READ ONLY", "SELECT 1", "END"]
    with pytest.raises(NotPermittedError):
        await reading.fetchval("SELECT pg_promote()")
    with pytest.raises(NotPermittedError):
        reading.executemany  # noqa: B018 (asking for it is refused)
    assert len(session.said) == 3


async def test_redis_is_asked_for_nothing_but_reads(ctx):
    link = Link(ctx, None, "x")
    for words in (("SET", "a", "b"), ("FLUSHALL",), ("SENTINEL", "FAILOVER", "x"),
                  ("CONFIG", "SET"),
                  ("EVAL", "x"), ("REPLICAOF", "NO", "ONE"), ("DEL", "a")):  # fmt: skip
        with pytest.raises(NotPermittedError):
            await link.ask(*words)
    for words in (("GET", "a"), ("SENTINEL", "MASTER", "x"), ("ROLE",), ("WAIT", 1, 1)):
        _read_only.require_redis(*words)
