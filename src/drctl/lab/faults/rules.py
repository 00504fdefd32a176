"""What goes wrong, when, and what came through."""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from drctl.kernel.clock import Clock, SystemClock


class Deed(StrEnum):
    """One way to fail."""

    REFUSE = "refuse"
    """Nothing listens. For the listener, not for one request."""
    CONNECT_TIMEOUT = "connect_timeout"
    """The first packet is dropped. For the listener, not for one request."""
    BLACKHOLE_BEFORE = "blackhole_before"
    """The request never arrives, and nobody is told."""
    BLACKHOLE_AFTER = "blackhole_after"
    """The request arrives; the answer does not."""
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    THROTTLED = "throttled"
    """The vendor's own "too often"."""
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    ERROR_AFTER = "error_after"
    """The request is carried out, and then answered with 500."""
    EXPIRED = "expired"
    """The vendor's own "your token is too old"."""
    MALFORMED = "malformed"
    """The answer has its status, and half of its body."""
    WRONG_OBJECT = "wrong_object"
    """The answer is about another object."""
    STALE = "stale"
    """A read is answered with what the read before it was answered."""
    SLOW = "slow"
    """The answer comes after everybody has stopped waiting."""
    TRICKLE = "trickle"
    """The answer comes byte by byte, and never to its end in time."""
    DUPLICATE = "duplicate"
    """The request is handed on twice, one after the other; the second answer is given."""
    LATE = "late"
    """The request arrives some seconds after the client has given up."""


LISTENER: Final = frozenset({Deed.REFUSE, Deed.CONNECT_TIMEOUT})
"""Deeds that befall connections, before anybody can know what they are for."""
ALWAYS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A deed, and what it befalls."""

    deed: Deed
    operation: str = "*"
    """Pattern of the operation's name."""
    method: str = "*"
    path: str = "*"
    host: str = "*"
    first: int = 1
    """The first matching request that is hit, counted from 1."""
    times: int = 1
    """How many are hit from there; `ALWAYS` for all."""

    def is_about(self, operation: str, method: str, path: str, host: str) -> bool:
        """True when a request is of the kind that this rule counts."""
        return (
            fnmatchcase(operation, self.operation)
            and fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
            and fnmatchcase(host, self.host)
        )


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request."""

    operation: str
    at_s: float
    """When it came in, of boot time."""
    deed: Deed | None
    forwarded: int = 0
    """How often it was handed on."""


@dataclass(slots=True, kw_only=True)
class Script:
    """The rules of one proxy, what they have seen, and its only source of chance."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    slow_s: float = 30.0
    late_s: float = 2.0
    swap: tuple[tuple[bytes, bytes], ...] = ()
    """What `Deed.WRONG_OBJECT` replaces in an answer."""
    log: list[Entry] = field(default_factory=list)
    is_armed: bool = True
    """False: requests are logged and nothing befalls them."""
    swaps: int = 0
    """Answers in which something was replaced."""
    clock: Clock = field(default_factory=SystemClock)
    _seen: dict[int, int] = field(default_factory=dict)

    def meet(self, operation: str, *, method: str = "", path: str = "", host: str = "") -> Entry:
        """Logs a request, and says in its entry which deed is due."""
        deed = None
        for number, rule in enumerate(self.rules):
            is_about = self.is_armed and rule.is_about(operation, method, path, host)
            if rule.deed in LISTENER or not is_about:
                continue
            count = self._seen[number] = self._seen.get(number, 0) + 1
            if deed is None and rule.first <= count < rule.first + rule.times:
                deed = rule.deed
        entry = Entry(operation=operation, at_s=self.clock.now().boot_s, deed=deed)
        self.log.append(entry)
        return entry

    def listener(self) -> Rule | None:
        """The rule about connections, if there is one."""
        return next((rule for rule in self.rules if rule.deed in LISTENER), None)

    def count(self, pattern: str) -> int:
        """How many requests of a kind came in."""
        return sum(fnmatchcase(entry.operation, pattern) for entry in self.log)

    def forwarded(self, pattern: str) -> int:
        """How many requests of a kind were handed on."""
        return sum(e.forwarded for e in self.log if fnmatchcase(e.operation, pattern))

    def garbled(self, body: bytes) -> bytes:
        """Half of *body*, cut where the seed says; never all of it, never valid JSON or XML."""
        cut = random.Random(self.seed).randint(1, max(1, len(body) // 2))
        return body[:cut] + b"\x00<"

    def swapped(self, body: bytes) -> bytes:
        """*body* about another object."""
        before = body
        for ours, other in self.swap:
            body = body.replace(ours, other)
        self.swaps += body != before
        return body
