"""
AWS calls with nothing ambient: explicit region, credentials and endpoint, one delivery, a deadline.

The SDK looks in about forty environment variables, two files in the home folder and the instance's
metadata for its settings. At three in the morning one of them belongs to another account. So the
session here has none of those sources left; what the environment file says is all there is.
"""

import threading
from datetime import timedelta
from functools import cache
from typing import Any

from drctl import __version__
from drctl.actions.contract import Context, NotPermittedError
from drctl.actions.errors import ActionError, OutcomeUnknown, Throttled, Unavailable
from drctl.actions.targets import AwsConnection
from drctl.adapters import _blocking, _secret
from drctl.adapters._read_only import require_aws
from drctl.adapters.aws.errors import translate
from drctl.kernel.retry import retry_read

CONNECT_S = 3.0
READ_S = 15.0
"""`PromoteReadReplica` and `ModifyDBInstance` answer within about three seconds on a good day."""
PATIENCE = timedelta(seconds=10)
"""How long a read is repeated before its caller hears that the other side is not there."""

_GLOBAL_SIGNING = {"iam": "us-east-1", "route53": "us-east-1"}
"""Services whose requests are signed for one region, wherever they are sent."""


@cache
def _vendor_models() -> Any:
    """The SDK's own API models, parsed once a process: no settings, no ``~/.aws/models``."""
    from botocore.loaders import Loader

    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


def _session() -> Any:
    from botocore.configprovider import (
        BOTOCORE_DEFAUT_SESSION_VARIABLES,
        ConfigValueStore,
        ConstantProvider,
    )
    from botocore.session import Session

    class IsolatedSession(Session):
        """A session that has read no file and no variable."""

        @property
        def full_config(self) -> dict[str, Any]:
            return {"profiles": {}}

        def get_scoped_config(self) -> dict[str, Any]:
            return {}

    defaults = {
        name: ConstantProvider(default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    defaults |= {"s3": ConstantProvider(None), "proxies_config": ConstantProvider(None)}
    session = IsolatedSession()
    session.register_component("config_store", ConfigValueStore(mapping=defaults))
    session.register_component("data_loader", _vendor_models())
    return session


class Aws:
    """Calls to one account in one region, for one action. Keeps clients, nothing else."""

    def __init__(self, ctx: Context, connection: AwsConnection, *, call_s: float = READ_S) -> None:
        self._ctx = ctx
        self._connection = connection
        self._call_s = call_s
        self._clients: dict[tuple[str, bool], Any] = {}
        self._building = threading.Lock()

    def within(self, ctx: Context) -> "Aws":
        """The same clients, for another action: building one costs more than a call."""
        made = Aws(ctx, self._connection, call_s=self._call_s)
        made._clients, made._building = self._clients, self._building
        return made

    @property
    def region(self) -> str:
        """Where the calls go."""
        return self._connection.region

    async def read(
        self, service: str, operation: str, /, *, patience: timedelta = PATIENCE, **arguments: Any
    ) -> dict[str, Any]:
        """
        Makes a call that changes nothing; repeats it while throttled or unavailable, for
        *patience*.

        Raises:
            ActionError: What the other side said, or that it did not.
        """
        ctx = self._ctx

        async def once() -> dict[str, Any]:
            return await self._call(service, operation, arguments, mutates=False)

        return await retry_read(
            once,
            on=(Throttled, Unavailable),
            clock=ctx.clock,
            deadline=ctx.deadline.at_most(ctx.clock, patience),
        )

    async def once(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """
        Makes a call that changes nothing, without repeating it.

        Raises:
            ActionError: What the other side said, or that it did not.
        """
        return await self._call(service, operation, arguments, mutates=False)

    async def mutate(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """
        Delivers a call that changes something, once.

        Raises:
            OutcomeUnknown: It may have arrived, and no answer came.
            ActionError: It was refused, or was never sent.
        """
        return await self._call(service, operation, arguments, mutates=True)

    async def _call(
        self, service: str, operation: str, arguments: dict[str, Any], *, mutates: bool
    ) -> dict[str, Any]:
        ctx = self._ctx
        what = f"{service}:{operation} in {self.region}"
        if ctx.deadline.has_passed(ctx.clock):
            raise Unavailable(f"{what}: no time left, not sent")

        def call() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
            if "Body" in answer:  # read here: the socket may stall after the headers
                answer["Body"] = answer["Body"].read()
            return answer

        late = OutcomeUnknown if mutates else Unavailable
        # Apart: half a second of parsing API models is not the endpoint's silence.
        client = await _blocking.run(
            lambda: self._client(service, what, mutates=mutates),
            ctx=ctx,
            late=lambda why: Unavailable(f"{what}: SDK not ready, not sent: {why}"),
            limit_s=READ_S,
        )
        if mutates:
            ctx.permit()
        try:
            return await _blocking.run(
                call,
                ctx=ctx,
                late=lambda why: late(f"{what}: {why}"),
                limit_s=min(CONNECT_S, self._call_s) + self._call_s,
            )
        except (ActionError, NotPermittedError):
            raise
        except Exception as error:  # a garbled answer makes the SDK's parsers raise anything
            raise translate(error, what, mutates=mutates) from error

    def _client(self, service: str, what: str, *, mutates: bool) -> Any:
        from botocore.exceptions import BotoCoreError

        with self._building:
            if (service, mutates) not in self._clients:
                try:
                    client = self._build(service)
                except BotoCoreError as error:
                    raise translate(error, what, mutates=False) from error
                if not mutates:
                    # First of all: nothing of a request that is refused is even signed.
                    client.meta.events.register_first("before-parameter-build.*", _only_reads)
                self._clients[service, mutates] = client
            return self._clients[service, mutates]

    def _build(self, service: str) -> Any:
        from botocore.config import Config

        connection, ctx = self._connection, self._ctx
        endpoint = connection.endpoints.get(service)
        left_s = max(0.1, ctx.deadline.left_s(ctx.clock))
        token = connection.session_token
        client = _session().create_client(
            service,
            # The vendor's own endpoint rules sign global services right; a given URL has no rules.
            region_name=_GLOBAL_SIGNING.get(service, self.region) if endpoint else self.region,
            endpoint_url=endpoint,
            verify=True,
            aws_access_key_id=_secret.reveal(ctx, connection.access_key_id),
            aws_secret_access_key=_secret.reveal(ctx, connection.secret_access_key),
            aws_session_token=_secret.reveal(ctx, token) if token else None,
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=min(CONNECT_S, self._call_s, left_s),
                read_timeout=min(self._call_s, left_s),
                user_agent_extra=f"drctl/{__version__}",  # who it was, in the account's own trail
                ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # not in the stubs
                proxies={},  # None would mean HTTP_PROXY
                s3={"addressing_style": "path" if endpoint else "auto"},
            ),
        )
        client.meta.events.register("before-call.s3", _stay_in_this_region)
        return client


def _only_reads(model: Any, **_: Any) -> None:
    """Refuses every operation that the service's own model does not show to read."""
    service = model.service_model
    require_aws(model.name, service.metadata["protocol"], model.http.get("method", "POST"))


def _stay_in_this_region(params: dict[str, Any], **_: Any) -> None:
    """
    Makes the SDK believe that it has followed S3's redirect already.

    Otherwise it would send the request a second time, to whatever region the answer names.
    """
    params["context"].setdefault("s3_redirect", {})["redirected"] = True
