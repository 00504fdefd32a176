"""
What a lab can be made of: always two regions and their control planes, and besides these the
database and the parts that its shape names.

A shape costs only what it has: the demo of a lost region starts no cache, and a cache no standby
database. Parts and databases are named by their import path, so that nothing of them is loaded
before it is wanted.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from drctl.lab.access import Secrets
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot

Stroke: TypeAlias = Callable[[Mapping[str, str]], Awaitable[None]]
"""Takes something away; given the words of ``drctl lab break`` after its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of lab."""

    name: str
    summary: str
    database: str = "drctl.lab.estate.databases_rds:RdsDatabases"
    """Who builds the database that the application uses (`drctl.lab.estate.databases`)."""
    parts: tuple[str, ...] = ()
    """What the supervisor runs besides the regions: classes, each a `Part` made of a `Site`."""


SHAPES: Final[Mapping[str, Shape]] = {
    shape.name: shape
    for shape in (
        Shape(
            name="region",
            summary="RDS in two regions, a warm application in the second",
        ),
        Shape(
            name="operator",
            summary="PostgreSQL by an operator of Kubernetes: a cluster and a standby cluster",
            database="drctl.lab.estate.databases_operator:OperatorDatabases",
            parts=("drctl.lab.operator.part:PostgresOperator",),
        ),
        Shape(
            name="database",
            summary="self-managed PostgreSQL: primary, standby, WAL archive, base backup",
            database="drctl.lab.estate.databases_server:ServerDatabases",
            parts=("drctl.lab.selfmanaged.part:DatabaseServers",),
        ),
        Shape(
            name="two-way",
            summary="the same, with an observer for the way back",
            database="drctl.lab.estate.databases_rds:RdsBothWays",
            parts=("drctl.lab.return_witness:ReturnWitness",),
        ),
        Shape(
            name="database-rds",
            summary="RDS with its standby in the same region",
            database="drctl.lab.estate.databases_rds:RdsInOneRegion",
        ),
        Shape(
            name="cache",
            summary="as region, and a cache that the application cannot do without",
            parts=("drctl.lab.cache.part:Cache",),
        ),
    )
}
DEFAULT: Final = "region"
ALWAYS: Final = (
    "drctl.lab.monitoring.part:Monitoring",
    "drctl.lab.routing:RoutingControls",
    "drctl.lab.releases:Releases",
)
"""Parts of every shape: cheap, and wanted after any recovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a part is given."""

    plan: AddressPlan
    root: LabRoot
    secrets: Secrets


class Part(Protocol):
    """
    Something that the supervisor runs: servers, or the stand-in of a service.

    Made with a `Site`, in the supervisor's process, before anything is started.
    """

    async def start(self) -> None:
        """Starts it; returns when it answers."""

    async def stop(self) -> None:
        """Ends all it started; safe to repeat, also when `start` failed half way."""

    def facts(self) -> Mapping[str, Any]:
        """
        What the estate's builder must know of it once it has started, as JSON; its builder's
        own business.
        """

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """
        What it adds to the environment file: ``connections``, ``targets`` and ``runbooks``, each
        name to entry; as JSON, read once the estate is built.
        """

    def strokes(self) -> Mapping[str, Stroke]:
        """
        What ``drctl lab break`` can do to it, by name. ``region`` is called besides the lab's own:
        what it runs in that region goes with it.

        Raises (a stroke):
            ValueError: It cannot be lost in that way; nothing was done.
        """

    async def heal(self) -> None:
        """Undoes its strokes as far as it can."""


def shape(name: str) -> Shape:
    """
    The shape of that name.

    Raises:
        ValueError: There is none; says which there are.
    """
    try:
        return SHAPES[name]
    except KeyError:
        raise ValueError(f"no lab has the shape {name!r}, only {', '.join(SHAPES)}") from None


def parts(chosen: Shape, site: Site) -> dict[str, Part]:
    """Makes a shape's parts, by class name; starts nothing."""
    made: dict[str, Part] = {}
    for path in (*ALWAYS, *chosen.parts):
        maker = load(path)
        made[maker.__name__] = maker(site)
    return made


def load(path: str) -> Any:
    """The thing that ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
