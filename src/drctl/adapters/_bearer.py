"""GET with a bearer token, where the target has one."""

from typing import Protocol

from drctl.actions.contract import Context
from drctl.adapters import _http, _secret
from drctl.kernel.secret import SecretRef


class Asked(Protocol):
    """A target that is asked over HTTP."""

    @property
    def url(self) -> str:
        """Its base URL."""

    @property
    def token(self) -> SecretRef | None:
        """Its token."""

    @property
    def label(self) -> str:
        """What people call it."""


async def get(ctx: Context, target: Asked, path: str) -> _http.Response:
    """
    Sends one GET, and returns the answer, of any status; the token is in no message.

    Raises:
        ActionError: See `drctl.adapters._http.send`.
    """
    headers = {}
    if target.token is not None:
        headers["authorization"] = f"Bearer {_secret.reveal(ctx, target.token)}"
    return await _http.send(
        ctx, "GET", target.url.rstrip("/") + path, label=target.label, headers=headers
    )
