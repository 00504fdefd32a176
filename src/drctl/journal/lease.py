"""
The lease of one run: taken, renewed, left, and believed by nobody for longer than it lasts.

Problem: two people start two recoveries of one database, or one is started again while the first
still runs. A lease must let exactly one of them act; must not block anybody for ever when its
holder dies; and must hold although clocks differ, processes are stopped for a minute, and the store
does not answer.

Invariant: at any moment at most one process has the right to send a request that changes something
of an identity. *Argument.* The right is taken and renewed by compare-and-set on one document, so
holders follow each other in the order of its versions. A holder counts its right from when it
*began* its last renewal that is known to be in the document, by its own boot-time clock, for
``lease_s`` less `MARGIN_S`. Anybody else who wants to take it must see ``renewals`` not move for
the whole of ``lease_s`` by *his* boot-time clock, counted from when he *had* read it, and must then
replace exactly the version he saw. So his wait begins after the holder's last renewal began, and
ends after the holder's right did. No two clocks are compared, no wall clock is read.

Only a process of the same run takes over like that (``resume``). Anybody else is refused, and told
what to do: a dead holder has left the world half changed, and the next one to act must know it.
``lease break`` watches in the same way and removes the entry, on a person's word.

A holder that ends orderly says so in the document. If its run has changed something and has not
reached an end, the right stays with the run, without a process: resuming it needs no watching, and
nobody starts another run in the middle of it.

What is not promised: a process that is stopped *between* the question and the last byte of its
request sends that one request late. The question is asked by adapters as the last thing before they
send; the intent of such a request is on disk, and whoever takes over looks for its effect first.
Where the target can check (a version, a condition), it refuses it.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Unavailable
from drctl.engine.events import LeaseHeld, LeaseLost
from drctl.engine.ports import Lease
from drctl.journal import refusals
from drctl.journal.access import WATCH_EVERY_S, Access, Watch
from drctl.journal.book import Book, Holder, ended, label
from drctl.journal.process import Process, is_gone, this_process
from drctl.kernel import failpoints
from drctl.kernel.clock import Deadline
from drctl.kernel.errors import RefusedError

LEASE_S = 8.0
"""A dead holder's run is taken over within ten seconds: this, and two for the store's answers."""
MARGIN_S = 1.0
"""How much earlier a holder stops than others may start: clocks of two machines drift by parts in
ten thousand; the rest is for the way from the question to the last byte of a request."""
RENEWALS = 4
"""Per lease: three may fail."""
TAKE = timedelta(seconds=12)
"""How long a store that does not answer is asked before a run is refused."""
REGAIN_S = 60.0
"""How long a lapsed lease is tried to be renewed before the run stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a run wants to have for itself."""

    run: str
    identities: tuple[str, ...]
    moves: tuple[str, ...] = ()
    """Those that it fences, promotes or moves traffic of."""
    operator: str
    host: str
    environment: str
    cool_down_s: float = 0.0
    again_reason: str | None = None
    """Why the cool-down shall not hold."""
    is_undo: bool = False
    """It takes back what a run did that may have reached its end."""


class RunLease(Lease):
    """The lease of one process of one run."""

    def __init__(
        self,
        access: Access,
        claim: Claim,
        *,
        lease_s: float = LEASE_S,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._access, self._claim, self._lease_s, self._say = access, claim, lease_s, say
        self._nonce = secrets.token_hex(8)
        self._book = Book()
        self._version: str | None = None
        self._ends_s: float | None = None
        """When our right ends, by our clock; ``None``: we never had it."""
        self._unsure_s: float | None = None
        """When the first write began of which we do not know whether it is in the book."""
        self._gone: str | None = None
        """Why we shall never have it again."""
        self._trouble = "it was not renewed"
        self._news: list[LeaseHeld | LeaseLost] = []
        self._told = "held"
        """What the record says of it."""

    # -- what the engine asks ---------------------------------------------------------------------

    def refusal(self) -> str | None:
        if self._gone is not None:
            return self._gone
        if self._ends_s is None:
            return "no lease is held"
        late_s = self._access.now_s() - self._ends_s
        if late_s >= 0:
            return f"the lease ended {late_s:.1f}s ago ({self._trouble})"
        if self._version is not None and not self._access.cell.is_in_place(self._version):
            return f"the lease is gone from {self._access.cell.label}"
        return None

    def news(self) -> Sequence[LeaseHeld | LeaseLost]:
        if self._ends_s is not None:
            why = self.refusal()
            standing = "held" if why is None else "lapsed" if self._gone is None else "lost"
            if standing != self._told:
                self._told = standing
                self._news.append(
                    self._held("it was renewed again")
                    if why is None
                    else LeaseLost(why=why, for_good=standing == "lost")
                )
        told, self._news = self._news, []
        return told

    @property
    def may_be_held(self) -> bool:
        """True when the book may have an entry of ours, whatever we know."""
        return self._ends_s is not None or self._unsure_s is not None

    def _held(self, taken_over: str) -> LeaseHeld:
        mine = self._book.of(self._claim.run)
        return LeaseHeld(
            store=self._access.cell.label,
            generation=mine.generation if mine else 0,
            identities=self._claim.identities,
            taken_over=taken_over,
        )

    # -- taking -----------------------------------------------------------------------------------

    async def take(self) -> None:
        clock = self._access.clock
        deadline, watch, why = Deadline.after(clock, TAKE), Watch(self._access), ""
        while True:
            try:
                book, version = await self._access.look()
            except ActionError as error:
                await self._again(deadline, error)
                continue
            mine = book.of(self._claim.run)
            if mine is not None and mine.nonce == self._nonce:
                # A write whose answer was lost has got in. Our right counts from when it began.
                since_s = self._unsure_s if self._unsure_s is not None else self._access.now_s()
                self._have(book, version, since_s, why)
                return
            self._refuse_ended(book)
            self._refuse_others(book)
            if mine is None:
                self._refuse_cooling(book)
            else:
                taken = self._may_take(mine, watch)
                if taken is None:
                    self._say(f"waiting to see that the process on {mine.host} is dead")
                    failpoints.hit("lease.wait")
                    await clock.sleep(WATCH_EVERY_S)
                    deadline = Deadline.after(clock, TAKE)
                    continue
                why = taken
            new = book.put(self._entry(book, mine), clock.now())
            began_s = self._access.now_s()
            try:
                written = await self._access.put(new, version)
            except ActionError as error:
                if isinstance(error, OutcomeUnknown) and self._unsure_s is None:
                    self._unsure_s = began_s
                await self._again(deadline, error)
                continue
            self._have(new, written, began_s, why)
            return

    async def _again(self, deadline: Deadline, error: ActionError) -> None:
        """Waits a little, with jitter, or gives up."""
        clock = self._access.clock
        if deadline.has_passed(clock):
            raise RefusedError(
                (refusals.unreachable(self._access.cell.label, str(error)),)
            ) from error
        is_race = isinstance(error, Conflict)
        failpoints.hit("lease.wait")
        await clock.sleep(secrets.randbelow(50) / 1000 if is_race else 0.3)

    def _refuse_ended(self, book: Book) -> None:
        """A copy of the run's folder went on elsewhere, to the end; here it would start over."""
        end = next(
            (one for one in book.recent if one.run == self._claim.run and one.is_final), None
        )
        if end is not None and not self._claim.is_undo:
            raise RefusedError((refusals.over(end, self._access.cell.label),))

    def _refuse_others(self, book: Book) -> None:
        others = book.others(self._claim.run, self._claim.identities)
        if others:
            now = self._access.clock.now()
            raise RefusedError(
                tuple(
                    refusals.held(
                        self._claim.identities,
                        other,
                        self._access.cell.label,
                        now,
                        is_here=other.host == self._claim.host,
                        environment=self._claim.environment,
                    )
                    for other in others
                )
            )

    def _refuse_cooling(self, book: Book) -> None:
        if self._claim.again_reason is not None:
            return
        now, within_s = self._access.clock.now(), self._claim.cool_down_s
        # A run does not wait for itself: whoever undoes it has given a reason.
        cooling = [
            one
            for one in book.cooling(self._claim.moves, within_s, now)
            if one.run != self._claim.run
        ]
        if cooling:
            raise RefusedError(tuple(refusals.cooling(one, book, within_s, now) for one in cooling))

    def _may_take(self, mine: Holder, watch: Watch) -> str | None:
        """Why an earlier process of this run does not count any more; ``None``: not known yet."""
        if not mine.is_live:
            return f"its process on {mine.host} had ended ({mine.state})"
        process = Process(machine=mine.machine, pid=mine.pid, started=mine.pid_start)
        if is_gone(process):
            return f"its process {mine.pid} on this machine is dead"
        if watch.is_dead(mine):
            return f"its process on {mine.host} did not renew for {mine.lease_s:g}s"
        if watch.has_moved:
            raise RefusedError((refusals.live(mine, self._access.cell.label),))
        return None

    def _entry(self, book: Book, mine: Holder | None) -> Holder:
        claim, process = self._claim, this_process()
        # What an earlier process of this run was after stays the run's.
        identities = (*claim.identities, *(mine.identities if mine else ()))
        moves = (*claim.moves, *(mine.moves if mine else ()))
        return Holder(
            run=claim.run,
            nonce=self._nonce,
            identities=tuple(dict.fromkeys(identities)),
            moves=tuple(dict.fromkeys(moves)),
            operator=claim.operator,
            host=claim.host,
            machine=process.machine,
            pid=process.pid,
            pid_start=process.started,
            generation=book.generation + 1,
            lease_s=self._lease_s,
            taken_at=label(self._access.clock.now()),
        )

    def _have(self, book: Book, version: str | None, since_s: float, why: str) -> None:
        self._extend(book, version, since_s)
        self._news.append(self._held(why))

    def _extend(self, book: Book, version: str | None, since_s: float) -> None:
        self._book, self._version, self._unsure_s = book, version, None
        self._ends_s = since_s + self._lease_s - min(MARGIN_S, self._lease_s / 4)
        self._trouble = "it was not renewed"

    # -- renewing ---------------------------------------------------------------------------------

    async def keep(self, wake: Callable[[], None]) -> None:
        """Renews until it is lost for good or the task is cancelled; *wake* is told of changes."""
        every_s = self._lease_s / RENEWALS
        while self._gone is None:
            failpoints.hit("lease.wait")
            await self._access.clock.sleep(every_s)
            await self.renew()
            if self.refusal() is not None or self._told != "held":
                wake()

    async def renew(self) -> None:
        """
        Renews once. What comes of it, `refusal` tells.

        Changes:
            Our entry in the book.
        """
        access = self._access
        mine = self._book.of(self._claim.run)
        if mine is None or self._gone is not None:
            return
        fresh = replace(mine, renewals=mine.renewals + 1)
        began_s = access.now_s()
        try:
            failpoints.hit("lease.before_renewal")
            new = self._book.put(fresh, access.clock.now())
            self._extend(new, await access.put(new, self._version), began_s)
        except (ActionError, OSError) as error:
            if isinstance(error, OutcomeUnknown) and self._unsure_s is None:
                self._unsure_s = began_s
            self._trouble = str(error)
            if not isinstance(error, Unavailable | OSError):
                await self._look_again(fresh)
        if self._ends_s is not None and access.now_s() - self._ends_s > REGAIN_S:
            self._gone = f"the lease could not be renewed for {REGAIN_S:g}s ({self._trouble})"

    async def _look_again(self, fresh: Holder) -> None:
        """Somebody else has written, or an answer was lost: what does the book say of us?"""
        try:
            book, version = await self._access.look()
        except ActionError as error:
            self._trouble = str(error)
            return
        except RefusedError as error:
            self._gone = str(error)
            return
        mine = book.of(self._claim.run)
        if mine is None or mine.nonce != fresh.nonce:
            self._gone = refusals.taken_away(self._claim.run, book)
            return
        self._book, self._version = book, version
        if mine.renewals >= fresh.renewals and self._unsure_s is not None:
            self._extend(book, version, self._unsure_s)
            return
        began_s = self._access.now_s()
        new = book.put(replace(mine, renewals=mine.renewals + 1), self._access.clock.now())
        try:
            self._extend(new, await self._access.put(new, version), began_s)
        except ActionError as error:
            if isinstance(error, OutcomeUnknown) and self._unsure_s is None:
                self._unsure_s = began_s
            self._trouble = str(error)

    # -- leaving ----------------------------------------------------------------------------------

    async def leave(self, what: str, *, moved: Sequence[str], stays: bool) -> bool:
        """
        Ends this process's part; returns whether the book says so now.

        Args:
            what: How the run stands.
            moved: What it has really fenced, promoted, or moved traffic of.
            stays: The right stays with the run, for whoever resumes it.

        Changes:
            Our entry in the book.
        """
        deadline = Deadline.after(self._access.clock, TAKE)
        while self._ends_s is not None:
            try:
                book, version = await self._access.look()
                mine = book.of(self._claim.run)
                if mine is None or mine.nonce != self._nonce:
                    break
                now = self._access.clock.now()
                mine = replace(mine, moves=tuple(moved), is_live=False, state=what)
                end = ended(mine, what, now)
                memory = end if end.is_final or moved else None
                new = book.put(mine, now) if stays else book.without(mine.run, now, memory)
                await self._access.put(new, version)
                break
            except ActionError:
                if deadline.has_passed(self._access.clock):
                    return False
                failpoints.hit("lease.wait")
                await self._access.clock.sleep(0.2)
            except RefusedError:
                return False
        self._ends_s, self._gone = None, "the lease was left"
        return True
