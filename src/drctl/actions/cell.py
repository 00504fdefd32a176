"""
A cell: one small document that is replaced whole, and only by somebody who has seen the last one.

This is all that a lease needs of a store, and every store of note has it under another name: a
conditional PUT, a resource version, a version column. Whoever offers one gives an adapter a `Store`
(`drctl.actions.contract.Adapter.stores`); no other code knows a vendor.

Contract, for a cell at which any number of processes on any machine read and write:

- *Atomic.* Of all writes that name the same *expected* version at most one succeeds, ever. A
  version is never used again for other bytes.
- *Honest.* `Conflict` means that this write did not happen and will not; `OutcomeUnknown` that it
  may have, or still may. Whoever writes puts something of its own into the document, and reads.
- *Once.* A write is delivered at most once: a library's own retries are off.
- *Fresh.* `read` gives a document at least as new as every write that ended before it began.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from drctl.actions.contract import Context
from drctl.actions.targets import Part

S = TypeVar("S", bound=Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A document, and the version that a write must name to replace it."""

    data: bytes | None
    """``None``: nothing was written yet."""
    version: str | None
    """``None`` as long as nothing was written. Means something to its own cell only."""


class Cell(ABC):
    """One document in one place. See the module for what every cell promises."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Where it is, as a person would say it."""

    @property
    def places(self) -> tuple[str, ...]:
        """Regions and ``host:port`` that it stands or falls with, as far as that can be told."""
        return ()

    @abstractmethod
    async def read(self, ctx: Context) -> Reading:
        """
        Reads the document, within ``ctx.deadline``. Asks once.

        Raises:
            ActionError: It could not be read.
        """

    @abstractmethod
    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        """
        Replaces the document if its version is still *expected*, and returns the new version.

        Args:
            expected: ``None`` to write the first one.

        Raises:
            Conflict: Somebody was faster; nothing was written.
            OutcomeUnknown: It may have been written, or may yet be.
            ActionError: Nothing was written.

        Changes:
            The document.
        """

    def is_in_place(self, version: str) -> bool:
        """
        False when it can be seen at once, without asking anybody far away, that the place to which
        *version* was written is gone. Asked before each request of a run: must not block.
        """
        return True


class Store(ABC, Generic[S]):
    """A kind of cell that an environment may choose with ``lease: {store: NAME, ...}``."""

    name: ClassVar[str]
    settings: ClassVar[type[Part]]
    """The rest of ``lease:``; ``aws:`` and ``cluster:`` in it name connections of the file."""

    @abstractmethod
    def open(self, settings: S) -> Cell:
        """Makes the cell. Connects to nothing yet."""


AnyStore = Store[Any]
