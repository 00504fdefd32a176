"""The whole estate, with independent parts built at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from drctl.lab.access import Secrets
from drctl.lab.estate import aws as parts
from drctl.lab.estate.aws import Aws
from drctl.lab.estate.cluster import Clusters
from drctl.lab.estate.database import schema
from drctl.lab.estate.environment import EAST, WEST, Cluster, Estate, Side
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
    *,
    observe: Callable[[str], None],
    say: Callable[[str], None],
) -> Estate:
    """
    Builds everything in an empty account and two empty clusters, and waits until it works.

    Args:
        doors: How the APIs are reached.
        authorities: Region to the file of its cluster's certificate authority.
        observe: Given the primary's name once it has its schema; starts the witness.
        say: Told each part when it is there.

    Raises:
        TimeoutError: A part did not become ready.
        Exception: An API refused; the exception is its client library's.

    Changes:
        The emulated account, the clusters and the primary database.
    """
    plan, secrets, aws = doors.plan, doors.secrets, doors.aws
    clusters = Clusters(plan, secrets, authorities)

    def databases() -> tuple[str, str, str, str, str]:
        open_east, fence_east = parts.security_groups(aws, EAST)
        primary = parts.primary(aws, open_east, secrets.read("database_master"))
        say(f"primary {primary}")
        identifier = schema(primary, plan.dns, secrets)
        # The pods need the primary's name and its roles, and start while the replica is copied.
        pods = [
            pool.submit(clusters.deploy, EAST, replicas=EAST_REPLICAS, database_host=primary),
            pool.submit(clusters.deploy, WEST, replicas=WEST_REPLICAS, database_host=primary),
        ]
        observe(primary)
        open_west, fence_west = parts.security_groups(aws, WEST)
        replica = parts.replica(aws, open_west)
        say(f"replica {replica}")
        for deployed in pods:
            deployed.result()
        return primary, replica, identifier, fence_east, fence_west

    def traffic() -> tuple[str, str]:
        parts.buckets(aws)
        west = parts.balancer(aws, WEST, "healing-guard-dr-lb")
        east = parts.balancer(aws, EAST, "healing-guard-lb")
        say("load balancers")
        parts.public_name(aws, plan, east, west)
        say("public name")
        return east.dns_name, west.dns_name

    with ThreadPoolExecutor(max_workers=6) as pool:
        data, names = pool.submit(databases), pool.submit(traffic)
        uids = {region: clusters.uid(region) for region in (EAST, WEST)}
        primary, replica, identifier, fence_east, fence_west = data.result()
        east_name, west_name = names.result()
        for ready in [pool.submit(clusters.wait_ready, region) for region in (EAST, WEST)]:
            ready.result()
        say("pods")
    parts.wait_until(lambda: parts.is_witnessed(aws), "the witness has seen the primary")
    say("witness")

    def side(region: str, host: str, name: str, fence: str) -> Side:
        cluster = Cluster(
            server=plan.kubernetes_url(region), ca_file=authorities[region], uid=uids[region]
        )
        return Side(database_host=host, balancer_name=name, fence_group=fence, cluster=cluster)

    return Estate(
        east=side(EAST, primary, east_name, fence_east),
        west=side(WEST, replica, west_name, fence_west),
        system_identifier=identifier,
    )
