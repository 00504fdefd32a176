"""The way in, without databases: the strict control plane, load balancers, pods that answer."""

import asyncio
import datetime as dt
import itertools
import shutil
import tempfile
import threading
from pathlib import Path

import boto3
from aiohttp import web
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drctl.actions.targets import DatabaseRole, EcrRepository, LoadBalancer, S3Bucket
from drctl.lab.arc import RoutingCluster
from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.aws.global_caches import GlobalCaches
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.quotas import Quotas
from drctl.lab.aws.route53 import Route53Overlay
from drctl.lab.aws.s3_replication import S3Replication
from drctl.lab.aws.scaling import Scaling
from drctl.lab.names import NameServer
from drctl.lab.plan import AddressPlan
from drctl.lab.targets import TargetHealth
from drctl.lab.zones import Resolution

EAST, WEST = "us-east-1", "us-west-2"
ACCOUNT, KEY_ID = "123456789012", "AKIALABLABLABLABLAB1"
SERVICES = (
    "application-autoscaling", "autoscaling", "ecs", "cloudwatch", "elasticache",
    "service-quotas", "ec2", "ecr", "elbv2", "route53", "s3", "secretsmanager", "sts",
)  # fmt: skip
OLD, NEXT = "the-password-of-today-0", "the-password-of-tomorrow-1"


def rules(to, prefix=""):
    """A replication configuration with one rule."""
    rule = {
        "ID": "r",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{to}"},
    }
    return {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [rule]}


class EverybodyIsWell:
    """Stands for balancers where only the control plane is looked at: who is in use is healthy."""

    def target_health(self, _group, _target):
        return TargetHealth(state="healthy")


class Edge:
    """One region's load balancers on a loop of its own; names are resolved by its nameserver."""

    def __init__(self, net, *, with_balancers=True):
        self.plan = AddressPlan(net)
        self.numbers = itertools.count(1)
        self._folder = tempfile.mkdtemp(prefix="drctl-edge-")
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        delays = VendorDelays(insync_s=0.2)
        self.dns, self.elbv2 = Route53Overlay(delays), Elbv2Overlay(provisioning_s=0.2)
        self.replication = S3Replication(0.4)
        self.scaling = Scaling()
        self.quotas, self.caches = Quotas(), GlobalCaches()
        overlays = [self.dns, self.elbv2, self.replication, self.scaling, self.quotas, self.caches]
        self.plane = AwsControlPlane(
            self.plan, access_keys={KEY_ID}, overlays=[one.install for one in overlays]
        )
        self.replication.watch(self.plane.is_reachable)
        self.bridge = BalancerBridge(self.plan, Path(self._folder), is_active=self.elbv2.is_active)
        self.elbv2.watch(self.bridge if with_balancers else EverybodyIsWell())
        self.names = NameServer(Resolution(zones=self.dns.zones, extra=self.bridge.lookup))
        self.resolver = "{}:{}".format(*self.plan.dns)
        self._runners = []
        self._clients, self._building = {}, threading.Lock()
        self.plane.start()
        self.arc = RoutingCluster(self.plan, frozenset({KEY_ID}))
        self.run(self.arc.start())
        self.run(self.names.start(*self.plan.dns))
        if with_balancers:
            self.run(self.bridge.start())
        self._make_network()

    def stop(self):
        self.run(self.bridge.stop())
        self.run(self.names.stop())
        self.run(self.arc.stop())
        for runner in self._runners:
            self.run(runner.cleanup())
        self.plane.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        shutil.rmtree(self._folder)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def client(self, service, region=EAST):
        """Made once: that costs more than a call."""
        with self._building:
            if (service, region) not in self._clients:
                self._clients[service, region] = boto3.client(
                    service,
                    region_name=region,
                    endpoint_url=self.plan.aws_url(region),
                    aws_access_key_id=KEY_ID,
                    aws_secret_access_key="x",
                    config=Config(retries={"total_max_attempts": 1}),
                )
            return self._clients[service, region]

    def _make_network(self):
        ec2 = self.client("ec2")
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        self.subnets = [subnet["SubnetId"] for subnet in subnets["Subnets"][:2]]
        self.open = self.group("open", 1, 65535)
        self.shut = self.group("shut")
        self.leaky = self.group("leaky", 443, 443)

    def group(self, name, first=None, last=None):
        """A security group, with one ingress rule or none."""
        ec2 = self.client("ec2")
        made = ec2.create_security_group(GroupName=name, Description="d", VpcId=self.vpc)
        if first is not None:
            rule = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last}
            rule["IpRanges"] = [{"CidrIp": "127.0.0.0/8"}]
            ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
        return made["GroupId"]

    def pod(self, address=None, *, port=8000, status=200):
        """An application that answers; its address."""
        number = next(self.numbers)
        address = address or f"127.{self.plan.octet(EAST)}.2.{number}"

        async def start():
            async def answer(_request):
                return web.json_response({"at": address}, status=status)

            application = web.Application()
            application.router.add_get("/{path:.*}", answer)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, address, port).start()
            self._runners.append(runner)

        self.run(start())
        return address

    def certificate(self, name="api.edge.test"):
        """An imported certificate's ARN, and its text for whoever must trust it."""
        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(who)
            .issuer_name(who)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        text = made.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        answer = self.client("acm").import_certificate(Certificate=text, PrivateKey=private)
        return answer["CertificateArn"], text

    def balancer(self, name, *, ports=(8080,), certificate=None, targets=(), groups=None):
        """A load balancer with listeners and a target group of addresses; its ARN."""
        elbv2 = self.client("elbv2")
        made = elbv2.create_load_balancer(
            Name=name, Subnets=self.subnets, SecurityGroups=groups or [self.open]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        group = elbv2.create_target_group(
            Name=f"{name}-tg",
            Protocol="HTTP",
            Port=8000,
            VpcId=self.vpc,
            TargetType="ip",
            HealthCheckPath="/healthz",
        )["TargetGroups"][0]["TargetGroupArn"]
        for port in ports:
            tls = {}
            if certificate is not None and port == 8443:
                tls = {"Certificates": [{"CertificateArn": certificate}]}
            elbv2.create_listener(
                LoadBalancerArn=made,
                Protocol="HTTPS" if tls else "HTTP",
                Port=port,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
                **tls,
            )
        if targets:
            ids = [{"Id": address} for address in targets]
            elbv2.register_targets(TargetGroupArn=group, Targets=ids)
        return made

    def lose(self, name):
        """The load balancer is lost for good."""
        self.elbv2.lose(name)

    def connection(self, url=None, region=EAST):
        return {
            "region": region,
            "account": ACCOUNT,
            "access_key_id": f"env:{KEY_ID}",
            "secret_access_key": "env:x",
            "endpoints": dict.fromkeys(SERVICES, url or self.plan.aws_url(region)),
        }

    def target(self, name, url=None, **more):
        """What an environment file would say of a load balancer."""
        known = {"emergency_name": f"{name}-em", "isolation_security_group": self.shut}
        return LoadBalancer.model_validate(
            {"aws": self.connection(url), "name": name} | known | more
        )

    def role(self, secret, url=None, **more):
        """A role whose password is kept in Secrets Manager."""
        return DatabaseRole.model_validate(
            {
                "sql": {
                    "host": "127.0.0.1",
                    "database": "x",
                    "user": "operator",
                    "password": "env:x",
                    "tls": "off",
                },
                "role": "app",
                "password": f"env:{OLD}",
                "next_password": f"env:{NEXT}",
                "kept_in": {"aws": self.connection(url), "secret": secret},
                "region": EAST,
            }
            | more
        )

    def bucket(self, name, url=None):
        """What an environment file would say of a bucket."""
        return S3Bucket.model_validate({"aws": self.connection(url), "bucket": name})

    def copied(self, *, delay_s=0.4, prefix=""):
        """A bucket with a rule, its copy in the west, and how both are described; their names."""
        name = f"copied-{next(self.numbers)}"
        for bucket, region in ((name, EAST), (f"{name}-dr", WEST)):
            s3 = self.client("s3", region)
            more = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=bucket, **(more if region != EAST else {}))
            kept = {"Status": "Enabled"}
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=kept)
        self.client("s3").put_bucket_replication(
            Bucket=name, ReplicationConfiguration=rules(f"{name}-dr", prefix)
        )
        self.replication.delay_s = delay_s
        return name, f"{name}-dr"

    def with_copy(self, name, url=None, there=None):
        """What an environment file would say of a bucket and its copy."""
        replica = {"aws": self.connection(there, WEST), "bucket": f"{name}-dr"}
        return S3Bucket.model_validate(
            {"aws": self.connection(url), "bucket": name, "replica": replica}
        )

    def repository(self, name, url=None):
        """What an environment file would say of a registry's repository."""
        return EcrRepository.model_validate({"aws": self.connection(url), "repository": name})

    def found(self, name):
        """The API's description of a load balancer; None when there is none."""
        elbv2 = self.client("elbv2")
        try:
            return elbv2.describe_load_balancers(Names=[name])["LoadBalancers"][0]
        except elbv2.exceptions.LoadBalancerNotFoundException:
            return None

    def all(self):
        """The API's descriptions of every load balancer, all pages of them."""
        pages = self.client("elbv2").get_paginator("describe_load_balancers").paginate()
        return [one for page in pages for one in page["LoadBalancers"]]
