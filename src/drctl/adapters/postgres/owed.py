"""What a recovery leaves for people to put right, named so that another run finds it."""

from drctl.actions.contract import Cleared, Debt
from drctl.actions.targets import PostgresServer


def system(target: PostgresServer) -> str:
    """The database system that a target is a copy of, as its identities name it."""
    return target.identities[-1]


def server(target: PostgresServer) -> str:
    """The server itself."""
    return target.identities[0]


def standby(target: PostgresServer) -> Debt:
    """After a promotion there is one database."""
    return Debt(
        key=f"standby:{system(target)}",
        what=f"{target.label} is the only copy of its database: no standby is proven to follow it",
        remedy="run database-failback, or a step postgres.rewind_and_rejoin on the old primary",
    )


def standby_is_back(target: PostgresServer) -> Cleared:
    """Pays `standby`."""
    return Cleared(key=f"standby:{system(target)}")


def fence(target: PostgresServer, *, durable: bool) -> Debt:
    """A primary that must not come back by itself."""
    what = (
        f"{target.label} is fenced: its database is closed to everybody"
        if durable
        else f"{target.label} is only seen to be dead; whoever starts it has two primaries"
    )
    return Debt(
        key=f"fence:{server(target)}",
        what=what,
        remedy="rejoin it as a standby (postgres.rewind_and_rejoin), or unfence it when nothing"
        " was promoted",
    )


def fence_is_gone(target: PostgresServer) -> Cleared:
    """Pays `fence`."""
    return Cleared(key=f"fence:{server(target)}")


def kept(target: PostgresServer, folder: str) -> Debt:
    """A data directory that was moved aside: it may hold what nobody else has."""
    return Debt(
        key=f"copy:{server(target)}",
        what=f"the old data directory of {target.label} is kept at {folder}",
        remedy="look for rows that only it has, then remove it",
    )


def restored(target: PostgresServer, moment: str) -> Debt:
    """An instance that was made for a recovery."""
    return Debt(
        key=f"restored:{server(target)}",
        what=f"{target.label} is a restored instance (as of {moment}): no standby, no backups",
        remedy="when it stays, give it a standby and its own archive; when not, stop and remove it",
    )
