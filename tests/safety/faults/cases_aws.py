"""AWS: the strict control plane with real PostgreSQL behind RDS, DNS and health checks."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from aiohttp import web
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import DnsRecord, FailoverSwitch, RdsInstance
from drctl.adapters import _vantage
from drctl.lab.faults import answers, operations
from drctl.lab.faults.dns import DnsFaultProxy
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.postgres import PostgresFaultProxy
from drctl.lab.faults.rules import Deed

CONTRACT = Path(__file__).parents[2] / "contract" / "aws" / "conftest.py"
EAST, WEST = "us-east-1", "us-west-2"
PRIMARIES = 6
WEB = (f"127.{NET}.0.92", 8082)
BUCKET, ZONE = "faults-switch", "faults.test"
EAST_LB, WEST_LB = "east-lb-1.us-east-1.elb.amazonaws.com", "west-lb-2.us-west-2.elb.amazonaws.com"
_NUMBERS = itertools.count(1)


def _estate():
    """The estate of the contract tests, on a net of our own."""
    spec = importlib.util.spec_from_file_location("faults_contract_aws", CONTRACT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.NET = NET
    return module


class Lab:
    """Primaries to fence, one whose replicas are promoted, a zone, a bucket, an application."""

    async def start(self):
        self.contract = _estate()
        # On loopback silence is certain sooner.
        self._probe, _vantage.PROBE = _vantage.PROBE, timedelta(seconds=0.5)
        self.estate = await asyncio.to_thread(self.contract.Estate)
        # moto has a process of its own kind of state; each instance is a real server.
        await asyncio.to_thread(self._make)
        self.free = asyncio.Queue()
        for name in self.fenced:
            self.free.put_nowait(name)
        self.replicas = []
        self.copying = asyncio.Lock()
        """Copies that run at once take each other's WAL away."""
        application = web.Application()
        application.router.add_post("/write/{name}", self._write)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, *WEB).start()

    async def stop(self):
        _vantage.PROBE = self._probe
        await self._runner.cleanup()
        await asyncio.to_thread(self.estate.stop)

    def _make(self):
        estate, contract = self.estate, self.contract
        estate.create_primary()
        self.fenced = [f"prod-{number}" for number in range(PRIMARIES)]
        rds = estate.client("rds", EAST)
        for name in self.fenced:
            rds.create_db_instance(
                DBInstanceIdentifier=name,
                DBInstanceClass="db.t3.medium",
                Engine="postgres",
                AllocatedStorage=20,
                DBName=contract.DATABASE,
                MasterUsername="drctl",
                MasterUserPassword=contract.PASSWORD,
                VpcSecurityGroupIds=[estate.groups[EAST]["healing-guard-db"]],
            )
        for name in self.fenced:
            estate.await_available(name)

        async def lay_down():
            for name in (contract.PROD, *self.fenced):
                session = await estate.connect(name, "drctl")
                await session.execute(contract.SCHEMA)
                await session.close()

        estate.run(lay_down())
        estate.create_replica("dr-steady")
        self._make_zone()

    def _make_zone(self):
        estate = self.estate
        estate.names |= {EAST_LB: f"127.{NET + 1}.3.9", WEST_LB: f"127.{NET + 2}.3.9"}
        s3 = estate.client("s3", WEST)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": WEST})
        anybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [anybody]}
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
        route53 = estate.client("route53", EAST)
        made = route53.create_hosted_zone(Name=ZONE, CallerReference=secrets.token_hex(4))
        self.zone = made["HostedZone"]["Id"].rsplit("/", 1)[-1]

    async def _write(self, request):
        session = None
        try:
            async with asyncio.timeout(0.4):
                session = await self.estate.connect(request.match_info["name"])
                # As an application does that is asked twice for the same: one row.
                await session.execute(
                    "INSERT INTO pipelines (id) VALUES ($1) ON CONFLICT DO NOTHING",
                    (await request.json())["id"],
                )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return web.json_response({"error": "cannot write"}, status=503)
        finally:
            if session is not None:
                session.terminate()
        return web.json_response({}, status=201)

    def api(self, script, region):
        host, port = self.estate.plan.aws_address(region)
        return HttpFaultProxy(
            Upstream(host=host, port=port), script, name_of=operations.aws, answer_of=answers.aws
        )

    def connection(self, region, port):
        urls = dict.fromkeys(("rds", "ec2", "s3", "sts", "route53"), f"http://{HOST}:{port}")
        return {**self.estate.connection(region), "endpoints": urls}

    def sql(self, script, name):
        return PostgresFaultProxy((self.estate.endpoint(name), 5432), script, names=SQL)

    def groups(self, name):
        described = self.estate.bridge.instances[name].described
        return sorted(described.vpc_security_group_ids), described.status

    async def restore(self, name):
        """Into its own group again, and available."""
        group = self.estate.groups[EAST]["healing-guard-db"]
        async with asyncio.timeout(30):
            while self.groups(name) != ([group], "available"):
                if self.groups(name)[1] == "available":
                    await asyncio.to_thread(self._regroup, name, group)
                await asyncio.sleep(0.1)
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                    async with asyncio.timeout(2):
                        session = await self.estate.connect(name)
                        await session.close()
                        return

    def _regroup(self, name, group):
        rds = self.estate.client("rds", EAST)
        rds.modify_db_instance(
            DBInstanceIdentifier=name, VpcSecurityGroupIds=[group], ApplyImmediately=True
        )

    async def sighting(self):
        """What an observer sees of the primary now, in the bucket: its key, and the system."""
        key, now = f"sighting-{next(_NUMBERS)}", datetime.now(UTC)
        stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        server = self.estate.bridge.instances[self.contract.PROD].server
        rows = await self.estate.on_its_loop(
            server.query_as_superuser(
                "UPDATE drctl.heartbeat SET at = $1, seq = seq + 1"
                " RETURNING seq, (SELECT system_identifier::text FROM pg_control_system()),"
                " pg_current_wal_lsn()::text",
                now,
                database=self.contract.DATABASE,
            )
        )
        document = {
            "version": 1,
            "system_identifier": rows[0][1],
            "timeline": 1,
            "lsn": rows[0][2],
            "seq": rows[0][0],
            "last_ok_at": stamp,
            "checked_at": stamp,
            "refused_since": None,
            "last_error": None,
        }
        s3 = self.estate.client("s3", WEST)
        body = json.dumps(document).encode()
        await asyncio.to_thread(s3.put_object, Bucket=BUCKET, Key=key, Body=body)
        return key, rows[0][1]

    async def replica(self):
        """A fresh one, or one that a cell before left as it was."""
        if self.replicas:
            return self.replicas.pop()
        name = f"dr-{next(_NUMBERS)}"
        async with self.copying:
            await asyncio.to_thread(self.estate.create_replica, name)
        return name

    async def give_back(self, name, *, is_used):
        if not is_used:
            self.replicas.append(name)
            return
        rds = self.estate.client("rds", WEST)
        async with asyncio.timeout(20):
            while self.estate.bridge.instances[name].described.status != "available":  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.1)
        await asyncio.to_thread(
            rds.delete_db_instance, DBInstanceIdentifier=name, SkipFinalSnapshot=True
        )


async def _never(_key):
    return 0


def _instance(lab, name, region, port, sql_port=None, **more):
    sql = None
    if sql_port is not None:
        sql = {
            "host": HOST,
            "port": sql_port,
            "database": lab.contract.DATABASE,
            "user": "drctl",
            "password": f"env:{lab.contract.PASSWORD}",
            "tls": "off",
        }
    return RdsInstance.model_validate(
        {"aws": lab.connection(region, port), "instance": name, "sql": sql, **more}
    )


@contextlib.asynccontextmanager
async def _own(lab):
    name = await lab.free.get()
    try:
        yield name
    finally:
        await lab.restore(name)
        lab.free.put_nowait(name)


@contextlib.asynccontextmanager
async def _fence(lab, scripts):
    async with _own(lab) as name:
        api, sql = lab.api(scripts["http"], EAST), lab.sql(scripts["sql"], name)
        app = HttpFaultProxy(
            Upstream(host=WEB[0], port=WEB[1]),
            scripts["app"],
            name_of=operations.plain,
            answer_of=answers.plain,
        )
        group = lab.estate.groups[EAST]["healing-guard-fence"]
        scripts["http"].swap = ((name.encode(), b"prod-x"), (group.encode(), b"sg-0"))
        client = await lab.estate.connect(name)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(client.terminate)
            await stack.enter_async_context(serving(api, sql, app))
            target = _instance(
                lab,
                name,
                EAST,
                await api.start(HOST),
                await sql.start(HOST),
                fence_security_group=group,
                client_write_urls=[f"http://{HOST}:{await app.start(HOST)}/write/{name}"],
            )

            async def shut():
                return lab.groups(name)[0] == [group]

            async def holds(_key, _outputs):
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(0.5):
                        await client.execute(
                            "INSERT INTO pipelines (id) VALUES (gen_random_uuid())"
                        )
                        return False
                return await shut()

            async def applied(_key):
                return int(await shut())

            yield Site(
                target=target, params={}, proxies=[api, sql, app], applied=applied, holds=holds
            )


@contextlib.asynccontextmanager
async def _unfence(lab, scripts):
    async with _own(lab) as name:
        group = lab.estate.groups[EAST]
        await asyncio.to_thread(lab._regroup, name, group["healing-guard-fence"])
        async with asyncio.timeout(20):
            while lab.groups(name)[1] != "available":  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.05)
        api = lab.api(scripts["http"], EAST)
        scripts["http"].swap = ((name.encode(), b"prod-x"),)
        wanted = [group["healing-guard-db"]]
        async with serving(api):
            target = _instance(lab, name, EAST, await api.start(HOST))

            async def holds(_key, _outputs):
                return lab.groups(name)[0] == wanted

            async def applied(key):
                return int(await holds(key, None))

            yield Site(
                target=target,
                params={"security_groups": wanted},
                proxies=[api],
                applied=applied,
                holds=holds,
            )


@contextlib.asynccontextmanager
async def _only(lab, scripts):
    """An old primary in quarantine, and another instance that clients write to."""
    async with _own(lab) as name:
        group = lab.estate.groups[EAST]["healing-guard-fence"]
        await asyncio.to_thread(lab._regroup, name, group)
        async with asyncio.timeout(20):
            while lab.groups(name)[1] != "available":  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # until packets obey, too
        api, sql = lab.api(scripts["http"], EAST), lab.sql(scripts["sql"], name)
        new = lab.sql(scripts["new"], lab.contract.PROD)
        app = HttpFaultProxy(
            Upstream(host=WEB[0], port=WEB[1]),
            scripts["app"],
            name_of=operations.by_path({f"/{lab.contract.PROD}": "http:write"}),
            answer_of=answers.plain,
        )
        scripts["http"].swap = ((name.encode(), b"prod-x"), (group.encode(), b"sg-0"))
        async with serving(api, sql, new, app):
            url = f"http://{HOST}:{await app.start(HOST)}/write"
            target = _instance(
                lab,
                name,
                EAST,
                await api.start(HOST),
                await sql.start(HOST),
                fence_security_group=group,
                client_write_urls=[f"{url}/{name}"],
                client_path={"url": f"{url}/{lab.contract.PROD}", "table": "public.pipelines"},
            )
            server = lab.estate.bridge.instances[lab.contract.PROD].server
            count = "SELECT count(*) FROM pipelines WHERE id = $1"

            async def applied(key):
                work = server.query_as_superuser(
                    count, f"drctl-one-{key}", database=lab.contract.DATABASE
                )
                return (await lab.estate.on_its_loop(work))[0][0]

            async def holds(key, _outputs):
                return await applied(key) == 1 and lab.groups(name)[0] == [group]

            yield Site(
                target=target,
                params={"new_primary": HOST, "port": await new.start(HOST), "watch": 1.0},
                proxies=[api, sql, new, app],
                applied=applied,
                holds=holds,
            )


@contextlib.asynccontextmanager
async def _promote(lab, scripts):
    name, is_used = await lab.replica(), True
    server = lab.estate.bridge.instances[name].server
    api, sql = lab.api(scripts["http"], WEST), lab.sql(scripts["sql"], name)
    scripts["http"].swap = ((name.encode(), b"dr-another"),)
    question = (
        "SELECT CASE WHEN pg_is_in_recovery() THEN '00000001'"
        " ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
    )
    try:
        async with serving(api, sql):
            port = await api.start(HOST)
            key, identifier = await lab.sighting()
            scripts["http"].swap += ((identifier.encode(), b"7" * len(identifier)),)
            witness = {"aws": lab.connection(WEST, port), "bucket": BUCKET, "key": key}
            more = {"witness": witness, "system_identifier": identifier}
            target = _instance(lab, name, WEST, port, await sql.start(HOST), **more)

            async def applied(_key):
                # Each promotion begins a timeline; the pair began with the first.
                rows = await lab.estate.on_its_loop(server.query_as_superuser(question))
                begun = int(rows[0][0], 16) - 1
                described = lab.estate.bridge.instances[name].described
                return max(begun, int(not described.is_replica or described.status != "available"))

            async def holds(key, _outputs):
                return await applied(key) >= 1

            yield Site(target=target, params={}, proxies=[api, sql], applied=applied, holds=holds)
            is_used = await applied("") > 0
    finally:
        await lab.give_back(name, is_used=is_used)


@contextlib.asynccontextmanager
async def _wait(lab, scripts):
    api = lab.api(scripts["http"], WEST)
    scripts["http"].swap = ((b"dr-steady", b"dr-another"),)
    async with serving(api):

        async def holds(_key, outputs):
            return outputs.get("status") == "available" and outputs["is_replica"]

        yield Site(
            target=_instance(lab, "dr-steady", WEST, await api.start(HOST)),
            params={},
            proxies=[api],
            applied=_never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _lag(lab, scripts):
    key, identifier = await lab.sighting()
    api, sql = lab.api(scripts["http"], WEST), lab.sql(scripts["sql"], "dr-steady")
    scripts["http"].swap = (
        (b"dr-steady", b"dr-another"),
        (identifier.encode(), b"7" * len(identifier)),
    )
    async with serving(api, sql):
        port = await api.start(HOST)
        witness = {"aws": lab.connection(WEST, port), "bucket": BUCKET, "key": key}

        async def holds(_key, outputs):
            bound_s = outputs.get("bound")
            return (
                (outputs.get("source") or "").startswith("unknown")
                if bound_s is None
                else bound_s < 60
            )

        yield Site(
            target=_instance(lab, "dr-steady", WEST, port, await sql.start(HOST), witness=witness),
            params={},
            proxies=[api, sql],
            applied=_never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _identity(lab, scripts):
    api = lab.api(scripts["http"], WEST)
    account = lab.contract.ACCOUNT
    scripts["http"].swap = ((account.encode(), b"999999999999"),)
    async with serving(api):

        async def holds(_key, outputs):
            return outputs.get("account") == account

        yield Site(
            target=_instance(lab, "dr-steady", WEST, await api.start(HOST)),
            params={},
            proxies=[api],
            applied=_never,
            holds=holds,
        )


def _switch(*, engages):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        number = next(_NUMBERS)
        key, name = f"switch-{number}", f"api-{number}.{ZONE}"
        s3, route53 = lab.estate.client("s3", WEST), lab.estate.client("route53", EAST)
        host, port = lab.estate.plan.aws_address(WEST)
        config = {
            "Type": "HTTP",
            "IPAddress": host,
            "Port": port,
            "ResourcePath": f"/{BUCKET}/{key}",
            "RequestInterval": 10,
            "FailureThreshold": 1,
            "Inverted": True,
        }

        def lay_down():
            if not engages:
                s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
            check = route53.create_health_check(
                CallerReference=secrets.token_hex(4), HealthCheckConfig=config
            )["HealthCheck"]["Id"]
            pair = [
                _alias(name, EAST_LB, "PRIMARY", HealthCheckId=check),
                _alias(name, WEST_LB, "SECONDARY"),
            ]
            changes = [{"Action": "CREATE", "ResourceRecordSet": one} for one in pair]
            route53.change_resource_record_sets(
                HostedZoneId=lab.zone, ChangeBatch={"Changes": changes}
            )
            return check, pair

        def take_up(check, pair):
            changes = [{"Action": "DELETE", "ResourceRecordSet": one} for one in pair]
            route53.change_resource_record_sets(
                HostedZoneId=lab.zone, ChangeBatch={"Changes": changes}
            )
            route53.delete_health_check(HealthCheckId=check)
            s3.delete_object(Bucket=BUCKET, Key=key)

        def is_there():
            found = s3.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", [])
            return any(one["Key"] == key for one in found)

        made = await asyncio.to_thread(lay_down)
        api, dns = (
            lab.api(scripts["http"], WEST),
            DnsFaultProxy(lab.estate.plan.dns, scripts["dns"]),
        )
        scripts["dns"].swap = ((b"\x03api", b"\x03xpi"), (b"api-", b"xpi-"))
        try:
            async with serving(api, dns):
                target = FailoverSwitch.model_validate(
                    {
                        "aws": lab.connection(WEST, await api.start(HOST)),
                        "bucket": BUCKET,
                        "key": key,
                        "record_name": name,
                        "recovery_name": WEST_LB,
                        "url": f"http://{name}:8080",
                    }
                )

                async def holds(_key, _outputs):
                    return await asyncio.to_thread(is_there) is engages

                async def applied(key):
                    return int(await holds(key, None))

                yield Site(
                    target=target,
                    params={},
                    proxies=[api, dns],
                    applied=applied,
                    holds=holds,
                    resolvers=(f"{HOST}:{await dns.start(HOST)}",),
                )
        finally:
            await asyncio.to_thread(take_up, *made)

    return opened


def _alias(name, balancer, role, **more):
    target = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": balancer, "EvaluateTargetHealth": False}
    return {
        "Name": name,
        "Type": "A",
        "SetIdentifier": role.lower(),
        "Failover": role,
        "AliasTarget": target,
        **more,
    }


@contextlib.asynccontextmanager
async def _upsert(lab, scripts):
    name = f"record-{next(_NUMBERS)}.{ZONE}"
    api = lab.api(scripts["http"], EAST)
    scripts["http"].swap = (
        (name.encode(), b"another." + ZONE.encode()),
        (b"/change/", b"/change/X"),
    )
    route53 = lab.estate.client("route53", EAST)

    def found():
        sets = route53.list_resource_record_sets(
            HostedZoneId=lab.zone, StartRecordName=name, StartRecordType="A", MaxItems="1"
        )["ResourceRecordSets"]
        return [one for one in sets if one["Name"].rstrip(".") == name]

    async with serving(api):
        target = DnsRecord.model_validate(
            {
                "aws": lab.connection(EAST, await api.start(HOST)),
                "zone_id": lab.zone,
                "zone_name": ZONE,
                "record_name": name,
            }
        )

        async def holds(_key, _outputs):
            return bool(await asyncio.to_thread(found))

        async def applied(key):
            return int(await holds(key, None))

        try:
            yield Site(
                target=target,
                params={"ttl": 60, "values": ["127.0.0.1"]},
                proxies=[api],
                applied=applied,
                holds=holds,
            )
        finally:
            for one in await asyncio.to_thread(found):
                await asyncio.to_thread(
                    route53.change_resource_record_sets,
                    HostedZoneId=lab.zone,
                    ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": one}]},
                )


def _names():
    import cases_postgres

    return cases_postgres.NAMES


SQL = _names()
NO_ECHO = frozenset({Deed.WRONG_OBJECT})
NO_BODY = NO_ECHO | {Deed.MALFORMED, Deed.EXPIRED, Deed.STALE}
"""Only the status of the answer is looked at, and 503 and 401 are what it is."""
DESCRIBE = Op(name="rds:DescribeDBInstances")
MODIFY = Op(name="rds:ModifyDBInstance", mutates=True)
CONNECT = Op(name="sql:connect", via="sql", skip=NO_ECHO)


def sql(name):
    return Op(name=f"sql:{name}", via="sql", skip=NO_ECHO)


LABS = {"aws": Lab}
CASES = [
    Case(
        action="aws.rds.fence",
        lab="aws",
        ops=(
            DESCRIBE,
            Op(name="ec2:DescribeSecurityGroups"),
            MODIFY,
            Op(name="rds:RebootDBInstance", mutates=True),
            CONNECT,
            *(sql(name) for name in ("terminate", "left", "position", "block", "insert")),
            # A write that must be refused: it asks, and changes nothing.
            Op(name="http:POST", via="app", skip=NO_BODY),
        ),
        open=_fence,
        timeout_s=8.0,
        may_be_partial=True,
        # What proves it is a write, and whoever looks back may not write.
        reads_back=False,
        slots=PRIMARIES,
    ),
    Case(
        action="aws.rds.assert_single_primary",
        lab="aws",
        ops=(
            DESCRIBE,
            Op(name="ec2:DescribeSecurityGroups"),
            CONNECT,
            *(
                Op(name=f"sql:{name}", via="new", skip=NO_ECHO)
                for name in ("connect", "state", "has", "following")
            ),
            Op(name="http:write", via="app", mutates=True, skip=NO_BODY),
            # A write that must be refused, again and again: it asks, and changes nothing.
            Op(name="http:POST", via="app", skip=NO_BODY),
        ),
        open=_only,
        timeout_s=9.0,
        may_be_partial=True,
        # What proves it is a write, and whoever looks back may not write.
        reads_back=False,
        slots=PRIMARIES,
    ),
    Case(
        action="aws.rds.unfence",
        lab="aws",
        ops=(DESCRIBE, MODIFY),
        open=_unfence,
        slots=PRIMARIES,
    ),
    Case(
        action="aws.rds.promote_replica",
        lab="aws",
        ops=(
            DESCRIBE,
            Op(name="rds:PromoteReadReplica", mutates=True),
            Op(name="s3:GET"),
            CONNECT,
            *(sql(name) for name in ("recovery", "look", "history", "heartbeat", "other")),
        ),
        open=_promote,
        timeout_s=5.0,
        slots=5,
    ),
    Case(action="aws.rds.instance.wait", lab="aws", ops=(DESCRIBE,), open=_wait),
    Case(
        action="aws.rds.measure_lag",
        lab="aws",
        ops=(DESCRIBE, Op(name="s3:GET"), CONNECT, sql("heartbeat"), sql("other")),
        open=_lag,
        doubts=True,
    ),
    Case(
        action="aws.sts.identity.check",
        lab="aws",
        ops=(Op(name="sts:GetCallerIdentity"),),
        open=_identity,
    ),
    Case(
        action="aws.route53.failover_switch.engage",
        lab="aws",
        ops=(
            Op(name="s3:PUT", mutates=True, skip=NO_ECHO),
            Op(name="s3:HEAD", skip=NO_ECHO | {Deed.MALFORMED}),
            Op(name="dns:A", via="dns"),
            Op(name="dns:AAAA", via="dns"),
        ),
        open=_switch(engages=True),
        timeout_s=5.0,
    ),
    Case(
        action="aws.route53.failover_switch.disengage",
        lab="aws",
        ops=(
            Op(name="s3:DELETE", mutates=True, skip=NO_ECHO | {Deed.MALFORMED}),
            Op(name="s3:HEAD", skip=NO_ECHO | {Deed.MALFORMED}),
            Op(name="dns:A", via="dns"),
            Op(name="dns:AAAA", via="dns"),
        ),
        open=_switch(engages=False),
        timeout_s=5.0,
    ),
    Case(
        action="aws.route53.record.upsert",
        lab="aws",
        ops=(
            Op(name="route53:POST rrset", mutates=True),
            # Whoever hears of another change reads the record itself, which is told truly here.
            Op(name="route53:GET change", skip=NO_ECHO),
            Op(name="route53:GET rrset"),
        ),
        open=_upsert,
        timeout_s=5.0,
    ),
]
