"""
The targets of one load balancer: what is configured, and what its own health checks say of each.

Imported by the balancer's process, so nothing heavy may be imported here.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

INITIAL: Final = ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
_HEALTHY: Final = ("healthy", None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerConfig:
    """One line of configuration; a target group as the balancer needs it."""

    targets: tuple[str, ...] = ()
    """``ip:port``."""
    path: str = "/"
    interval_s: float = 0.25
    timeout_s: float = 2.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2
    matcher: str = "200"
    """Codes that count as healthy, as AWS writes them: ``200``, ``200,202``, ``200-299``."""
    is_open: bool = True
    """Whether the security groups let clients in; they drop what they do not let in."""
    idle_timeout_s: float = 15.0
    """How long a target may take to answer a request."""

    def to_json(self) -> dict[str, Any]:
        """The line as it travels."""
        return asdict(self)

    @staticmethod
    def from_json(line: dict[str, Any]) -> "BalancerConfig":
        """Reads such a line; a key that is not known is an error, as both sides are ours."""
        return BalancerConfig(**{**line, "targets": tuple(line.get("targets", ()))})

    def accepts(self, code: int) -> bool:
        """Tells whether a status code counts as healthy."""
        for part in self.matcher.split(","):
            first, _, last = part.partition("-")
            if int(first) <= code <= int(last or first):
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What the balancer thinks of a target, in the words of the elbv2 API."""

    state: str
    reason: str | None = None
    description: str | None = None


@dataclass(slots=True)
class _Target:
    address: str
    health: TargetHealth
    streak: int = 0
    """Probes in a row that disagree with the state."""
    task: asyncio.Task[None] | None = None


class Targets:
    """Probes the configured targets and hands out the healthy ones in turn."""

    def __init__(self, report: Callable[[str, TargetHealth], None]) -> None:
        self.config = BalancerConfig()
        self._report = report
        self._targets: dict[str, _Target] = {}
        self._turn = 0

    def configure(self, config: BalancerConfig) -> None:
        """Takes a new configuration; targets that stay keep their health."""
        self.config = config
        for gone in self._targets.keys() - set(config.targets):
            if (task := self._targets.pop(gone).task) is not None:
                task.cancel()
        for address in config.targets:
            if address not in self._targets:
                target = _Target(address, TargetHealth(**_words(INITIAL)))
                self._targets[address] = target
                self._report(address, target.health)
                target.task = asyncio.create_task(self._watch(target))

    def in_turn(self) -> list[str]:
        """The healthy targets, beginning with the one whose turn it is."""
        healthy = [
            address for address, target in self._targets.items() if target.health.state == "healthy"
        ]
        if not healthy:
            return []
        self._turn = (self._turn + 1) % len(healthy)
        return healthy[self._turn :] + healthy[: self._turn]

    async def _watch(self, target: _Target) -> None:
        while True:
            words = await self._probe(target.address)
            self._judge(target, TargetHealth(**_words(words)))
            await asyncio.sleep(self.config.interval_s)

    def _judge(self, target: _Target, seen: TargetHealth) -> None:
        """A new target needs one success; any other change of state needs its threshold."""
        now = target.health.state
        is_same = seen.state == now
        target.streak = 0 if is_same else target.streak + 1
        if seen.state == "healthy":
            needed = 1 if now == "initial" else self.config.healthy_threshold
        else:
            needed = self.config.unhealthy_threshold
        if (is_same and seen != target.health) or (not is_same and target.streak >= needed):
            target.health, target.streak = seen, 0
            self._report(target.address, seen)

    async def _probe(self, address: str) -> tuple[str, str | None, str | None]:
        host, _, port = address.rpartition(":")
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self.config.timeout_s):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(
                    f"GET {self.config.path} HTTP/1.1\r\nHost: {address}\r\n"
                    "User-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n".encode(
                        "latin-1"
                    )
                )
                await writer.drain()
                code = int((await reader.readline()).split(maxsplit=2)[1])
        except TimeoutError:
            return "unhealthy", "Target.Timeout", "Request timed out"
        except (OSError, ValueError, IndexError, asyncio.LimitOverrunError):
            return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if self.config.accepts(code):
            return _HEALTHY
        return (
            "unhealthy",
            "Target.ResponseCodeMismatch",
            f"Health checks failed with these codes: [{code}]",
        )


def _words(words: tuple[str, str | None, str | None]) -> dict[str, Any]:
    return dict(zip(("state", "reason", "description"), words, strict=True))
