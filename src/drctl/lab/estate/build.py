"""The whole estate, with independent parts built at the same time."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from drctl.lab import storage
from drctl.lab.access import Secrets
from drctl.lab.estate import aws as parts
from drctl.lab.estate import edge
from drctl.lab.estate.aws import Aws
from drctl.lab.estate.cluster import Clusters
from drctl.lab.estate.databases import Databases, Ground
from drctl.lab.estate.environment import (
    EAST,
    PRIMARY_BALANCER,
    RECOVERY_BALANCER,
    WEST,
    Cluster,
    Estate,
    Side,
)
from drctl.lab.plan import AddressPlan

EAST_REPLICAS, WEST_REPLICAS = 3, 1  # the standby is warm: one pod runs, the rest is scaled out


class Doors:
    """The client libraries, loaded and ready to be used before there is anything to call."""

    def __init__(self, plan: AddressPlan, secrets: Secrets) -> None:
        import kubernetes.client  # noqa: F401 (half a second, better spent now)

        self.plan = plan
        self.secrets = secrets
        self.aws = Aws(plan)
        for region in (EAST, WEST):
            for service in ("ec2", "rds", "elbv2"):
                self.aws.client(service, region)
        self.aws.client("s3", WEST)
        self.aws.client("route53", EAST)


def build(
    doors: Doors,
    authorities: dict[str, str],
    databases: Databases,
    facts: Mapping[str, Mapping[str, Any]],
    *,
    observe: Callable[[str], None],
    say: Callable[[str], None],
) -> Estate:
    """
    Builds everything in an empty account and two empty clusters, and waits until it works.

    Args:
        doors: How the APIs are reached.
        authorities: Region to the file of its cluster's certificate authority.
        databases: Who builds the database.
        facts: What the shape's parts told of themselves, by class name.
        observe: Given the primary's name once it has its schema; starts the witness.
        say: Told each part when it is there.

    Raises:
        TimeoutError: A part did not become ready.
        Exception: An API refused; the exception is its client library's.

    Changes:
        The emulated account, the clusters and the primary database.
    """
    plan, secrets, aws = doors.plan, doors.secrets, doors.aws
    told = [fact.get("application", {}) for fact in facts.values()]
    application = {name: value for one in told for name, value in one.items()}
    clusters = Clusters(plan, secrets, authorities, application)

    def traffic() -> tuple[dict[str, parts.Balancer], str]:
        parts.buckets(aws)
        storage.lay_down(aws)
        west = parts.balancer(aws, WEST, RECOVERY_BALANCER)
        east = parts.balancer(aws, EAST, PRIMARY_BALANCER)
        say("load balancers")
        zone = parts.public_name(aws, plan, east, west)
        say("public name")
        return {EAST: east, WEST: west}, zone

    with ThreadPoolExecutor(max_workers=6) as pool:
        names = pool.submit(traffic)
        pods: list[Future[None]] = []

        def start_pods(host: str) -> None:
            for region, count in ((EAST, EAST_REPLICAS), (WEST, WEST_REPLICAS)):
                pods.append(
                    pool.submit(clusters.deploy, region, replicas=count, database_host=host)
                )

        ground = Ground(
            plan=plan,
            secrets=secrets,
            aws=aws,
            facts=facts,
            cluster=clusters.api,
            start_pods=start_pods,
            observe=observe,
            balancer=lambda region: names.result()[0][region].dns_name,
            say=say,
        )
        data = pool.submit(databases.build, ground)
        uids = {region: clusters.uid(region) for region in (EAST, WEST)}
        built, (balancers, zone) = data.result(), names.result()
        for deployed in pods:
            deployed.result()
        for ready in [pool.submit(clusters.wait_ready, region) for region in (EAST, WEST)]:
            ready.result()
        say("pods")
    parts.wait_until(lambda: parts.is_witnessed(aws), "the witness has seen the primary")
    say("witness")

    def side(region: str) -> Side:
        cluster = Cluster(
            server=plan.kubernetes_url(region), ca_file=authorities[region], uid=uids[region]
        )
        return Side(balancer_name=balancers[region].dns_name, cluster=cluster)

    return Estate(
        east=side(EAST),
        west=side(WEST),
        entries=(
            {
                "connections": built.connections,
                "targets": built.targets,
                "runbooks": built.runbooks,
            },
            edge.entries(balancers, zone),
        ),
    )
