"""
The cluster of Route 53 ARC's routing controls: five endpoints in five regions, one state.

Its data plane as it is documented: each endpoint answers for itself and may be away; a change is
taken by any of them as long as three are there, and safety rules refuse what would leave too little
on. Requests are those of the real SDK: JSON, signed for the endpoint's own region.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from drctl.lab import wire
from drctl.lab.aws.front import scope_of
from drctl.lab.plan import ACCOUNT_ID, AddressPlan

REGIONS: Final = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2", "ap-northeast-1")
PANEL: Final = f"arn:aws:route53-recovery-control::{ACCOUNT_ID}:controlpanel/lab"
_QUORUM: Final = 3
_SERVICE: Final = "route53-recovery-cluster"


def control_arn(name: str) -> str:
    """The ARN of a routing control."""
    return f"{PANEL}/routingcontrol/{name}"


class _Refused(Exception):
    """What the endpoint answers instead."""

    def __init__(self, status: HTTPStatus, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """An assertion rule: so many of some controls stay on."""

    name: str
    controls: frozenset[str]
    """ARNs."""
    threshold: int

    @property
    def arn(self) -> str:
        """Its ARN, by which it may be overridden."""
        return f"{PANEL}/safetyrule/{self.name}"


@dataclass(slots=True)
class RoutingCluster:
    """The state, and the endpoints in front of it."""

    plan: AddressPlan
    access_keys: frozenset[str]
    states: dict[str, str] = field(default_factory=dict)
    """ARN to ``On`` or ``Off``."""
    rules: list[AtLeast] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    """Regions whose endpoint says that it is unavailable just now."""
    updates: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Every change that was taken: by which endpoint, and what was asked."""
    asked: list[str] = field(default_factory=list)
    """The region of every request, in order."""
    _runners: dict[str, web.AppRunner] = field(default_factory=dict)

    @property
    def endpoints(self) -> dict[str, str]:
        """Region to URL."""
        return {region: "http://{}:{}".format(*self._address(region)) for region in REGIONS}

    def _address(self, region: str) -> tuple[str, int]:
        return self.plan.arc(REGIONS.index(region) + 1)

    async def start(self) -> None:
        """
        Listens on all five.

        Raises:
            OSError: An address is taken.
        """
        for region in REGIONS:
            await self.open(region)

    async def stop(self) -> None:
        """Ends all of them; safe to repeat."""
        for region in tuple(self._runners):
            await self.close(region)

    async def open(self, region: str) -> None:
        """Lets an endpoint listen."""
        if region in self._runners:
            return

        async def answer(request: web.Request) -> web.Response:
            return await self._answer(region, request)

        application = web.Application()
        application.router.add_post("/", answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners[region] = runner
        await web.TCPSite(runner, *self._address(region)).start()

    async def close(self, region: str) -> None:
        """Ends an endpoint: connections to it are refused."""
        if region in self._runners:
            await self._runners.pop(region).cleanup()

    async def _answer(self, region: str, request: web.Request) -> web.Response:
        self.asked.append(region)
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        agent = request.headers.get("User-Agent")
        wire.note(f"arc {region}", action, agent, mutates=not action.startswith(("Get", "List")))
        body: dict[str, Any]
        try:
            body, status = self._do(region, request, await request.json()), HTTPStatus.OK
        except _Refused as refused:
            body, status = {"message": refused.message, **refused.more}, refused.status
            body["__type"] = refused.code
        return web.Response(
            status=status, text=json.dumps(body), content_type="application/x-amz-json-1.0"
        )

    def _do(self, region: str, request: web.Request, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._admit(region, request)
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        match action:
            case "GetRoutingControlState":
                arn = asked["RoutingControlArn"]
                return {
                    "RoutingControlArn": arn,
                    "RoutingControlState": self._state(arn),
                    "RoutingControlName": arn.rsplit("/", 1)[-1],
                }
            case "UpdateRoutingControlStates":
                self._update(region, asked)
                return {}
        raise _Refused(HTTPStatus.BAD_REQUEST, "UnknownOperationException", action)

    def _admit(self, region: str, request: web.Request) -> None:
        scope = scope_of({"HTTP_AUTHORIZATION": request.headers.get("Authorization", "")})
        if scope is None or scope.key_id not in self.access_keys:
            code = "UnrecognizedClientException"
            message = "The security token included in the request is invalid."
            raise _Refused(HTTPStatus.FORBIDDEN, code, message)
        if (scope.region, scope.service) != (region, _SERVICE):
            message = f"Credential should be scoped to a valid region, not '{scope.region}'."
            raise _Refused(HTTPStatus.FORBIDDEN, "InvalidSignatureException", message)
        present = [one for one in self._runners if one not in self.away]
        if region in self.away or len(present) < _QUORUM:
            raise _Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "EndpointTemporarilyUnavailableException",
                "The cluster endpoint isn't available. Try another cluster endpoint.",
            )

    def _state(self, arn: str) -> str:
        if arn not in self.states:
            raise _Refused(
                HTTPStatus.NOT_FOUND,
                "ResourceNotFoundException",
                f"No routing control {arn}",
                resourceId=arn,
                resourceType="RoutingControl",
            )
        return self.states[arn]

    def _update(self, region: str, asked: Mapping[str, Any]) -> None:
        wanted = {
            one["RoutingControlArn"]: one["RoutingControlState"]
            for one in asked["UpdateRoutingControlStateEntries"]
        }
        for arn, state in wanted.items():
            self._state(arn)
            if state not in {"On", "Off"}:
                raise _Refused(HTTPStatus.BAD_REQUEST, "ValidationException", f"no state {state}")
        after = {**self.states, **wanted}
        overridden = asked.get("SafetyRulesToOverride", [])
        for rule in self.rules:
            on = sum(after[arn] == "On" for arn in rule.controls)
            if on < rule.threshold and rule.arn not in overridden:
                raise _Refused(
                    HTTPStatus.CONFLICT,
                    "ConflictException",
                    f"The update violates the safety rule {rule.arn}",
                    resourceId=rule.arn,
                    resourceType="SafetyRule",
                )
        self.states = after
        self.updates.append((region, wanted))
