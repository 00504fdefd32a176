"""A book of leases as one process sees it: read, replaced, and watched."""

from dataclasses import dataclass
from datetime import timedelta

from drctl.actions.cell import Cell, Reading
from drctl.actions.contract import Context
from drctl.actions.errors import OutcomeUnknown, Unavailable
from drctl.journal import refusals
from drctl.journal.book import Book, Holder, UnreadableBook, decode, encode
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock, Deadline
from drctl.kernel.errors import RefusedError
from drctl.kernel.secret import Secrets

CALL = timedelta(seconds=2)
"""How long the store may take to answer once."""
WATCH_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a cell is asked."""

    cell: Cell
    clock: Clock
    secrets: Secrets
    resolvers: tuple[str, ...] = ()

    async def look(self) -> tuple[Book, str | None]:
        """
        Reads the book, once.

        Raises:
            ActionError: It could not be read.
            RefusedError: It is no book.
        """
        reading: Reading = await self.cell.read(self._context())
        try:
            return decode(reading.data), reading.version
        except UnreadableBook as error:
            raise RefusedError((refusals.unreadable(self.cell.label, str(error)),)) from error

    async def put(self, book: Book, version: str | None) -> str:
        """
        Replaces the book, once.

        Raises:
            ActionError: As `Cell.write`.
        """
        try:
            failpoints.hit("lease.before_write")
        except OSError as error:
            raise Unavailable(str(error)) from error
        new = await self.cell.write(self._context(), encode(book), version)
        try:
            failpoints.hit("lease.after_write")
        except OSError as error:
            raise OutcomeUnknown(str(error)) from error
        return new

    def _context(self) -> Context:
        return Context(
            clock=self.clock,
            deadline=Deadline.after(self.clock, CALL),
            secrets=self.secrets,
            resolvers=self.resolvers,
            # A lease is what permission is made of: there is nobody above it to ask.
            permit=lambda: None,
        )

    def now_s(self) -> float:
        """Boot time."""
        return self.clock.now().boot_s


class Watch:
    """Says whether a holder lives, from nothing but its counter and our own clock."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._seen: tuple[str, int] | None = None
        self._since_s = 0.0
        self.has_moved = False
        """It was seen to renew: it lives."""

    def is_dead(self, holder: Holder) -> bool:
        """Takes one sighting in, made just now. True once it has not moved for its whole lease."""
        failpoints.hit("lease.watch")
        now_s = self._access.now_s()
        seen = (holder.nonce, holder.renewals)
        if seen != self._seen:
            self.has_moved = self._seen is not None
            self._seen, self._since_s = seen, now_s
        return now_s - self._since_s >= holder.lease_s
