"""The kinds that the emulated API server serves."""

from dataclasses import dataclass

from drctl.lab.kubernetes.errors import Object

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """How one kind is named and reached."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    has_generation: bool = False
    """Whether a changed ``spec`` raises ``metadata.generation``."""
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _VERBS
    is_custom: bool = False
    """Made by a CustomResourceDefinition: no strategic merge patch, every list is one value."""
    unconditional_update: bool = True
    """Whether a PUT may leave ``resourceVersion`` out and so overwrite what it has not seen."""

    @property
    def api_version(self) -> str:
        """``v1`` or ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """The path under which the kind's group lives, without the leading slash."""
        return f"apis/{self.api_version}" if self.group else f"api/{self.version}"


NAMESPACE = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    singular="namespace",
    short=("ns",),
    namespaced=False,
    # Emptying a namespace is a controller of its own, which nothing in the lab needs.
    verbs=("create", "get", "list", "patch", "update", "watch"),
)
NODE = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    singular="node",
    short=("no",),
    namespaced=False,
    verbs=("get", "list", "watch"),
)
POD = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    short=("po",),
    subresources=("status", "log", "exec"),
    categories=("all",),
)
SECRET = Kind(group="", version="v1", kind="Secret", plural="secrets", singular="secret")
CONFIG_MAP = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    singular="configmap",
    short=("cm",),
)
EVENT = Kind(group="", version="v1", kind="Event", plural="events", singular="event", short=("ev",))
DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    singular="deployment",
    short=("deploy",),
    has_generation=True,
    subresources=("status", "scale"),
    categories=("all",),
)
REPLICA_SET = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    singular="replicaset",
    short=("rs",),
    has_generation=True,
    subresources=("status", "scale"),
    categories=("all",),
)
LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    singular="lease",
    unconditional_update=False,
)

CLUSTER_ROLE = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    singular="clusterrole",
    namespaced=False,
)
RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    singular="resourcequota",
    short=("quota",),
    subresources=("status",),
)
SERVICE = Kind(
    group="", version="v1", kind="Service", plural="services", singular="service", short=("svc",)
)
ENDPOINTS = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    short=("ep",),
)
JOB = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    singular="job",
    has_generation=True,
    subresources=("status",),
    categories=("all",),
)
CRON_JOB = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    singular="cronjob",
    short=("cj",),
    has_generation=True,
    subresources=("status",),
    categories=("all",),
)
AUTOSCALER = Kind(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    singular="horizontalpodautoscaler",
    short=("hpa",),
    subresources=("status",),
    categories=("all",),
)


def _custom(
    group: str, version: str, kind: str, plural: str, *, short: tuple[str, ...] = ()
) -> Kind:
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        short=short,
        has_generation=True,
        subresources=("status",),
        is_custom=True,
        unconditional_update=False,
    )


POSTGRESQL = _custom("acid.zalan.do", "v1", "postgresql", "postgresqls", short=("pg",))
CNPG_CLUSTER = _custom("postgresql.cnpg.io", "v1", "Cluster", "clusters")
APPLICATION = _custom("argoproj.io", "v1alpha1", "Application", "applications", short=("app",))
KUSTOMIZATION = _custom("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")
HELM_RELEASE = _custom("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases")

KINDS = (
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    CONFIG_MAP,
    EVENT,
    SERVICE,
    ENDPOINTS,
    DEPLOYMENT,
    REPLICA_SET,
    LEASE,
    JOB,
    CRON_JOB,
    AUTOSCALER,
    CLUSTER_ROLE,
    RESOURCE_QUOTA,
    POSTGRESQL,
    CNPG_CLUSTER,
    APPLICATION,
    KUSTOMIZATION,
    HELM_RELEASE,
)


def find_kind(group: str, version: str, plural: str) -> Kind | None:
    """Finds the kind behind a path, or nothing."""
    for kind in KINDS:
        if (kind.group, kind.version, kind.plural) == (group, version, plural):
            return kind
    return None


def typed(kind: Kind, obj: Object) -> Object:
    """Returns the object with its kind and version said, as single objects are sent."""
    return {"kind": kind.kind, "apiVersion": kind.api_version, **obj}
