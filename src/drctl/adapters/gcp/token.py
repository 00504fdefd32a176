"""
A token from what the environment says and from nothing else.

Google's libraries look for application-default credentials in a variable, in gcloud's folder and at
the metadata server. Here a service account's key signs an assertion (google-auth does that), and
the token endpoint, which the environment may name and the key may not, gives a token for it.
"""

import json
from dataclasses import dataclass
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import AuthRejected, Rejected, Unavailable
from drctl.actions.targets import GcpConnection
from drctl.adapters import _http, _secret
from drctl.adapters.gcp.errors import error_of

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 (where, not what)
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S = 3600
_KEEP_S = 60.0
"""A token is not used in the last minute of its life."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A bearer token and how long it may be used. Without a text form: it is a secret."""

    value: str
    until_s: float | None
    """Of boot time; ``None``: nobody said."""

    def is_fresh(self, ctx: Context) -> bool:
        """Whether a request may still carry it."""
        return self.until_s is None or ctx.clock.now().boot_s < self.until_s


async def obtain(ctx: Context, connection: GcpConnection) -> Token:
    """
    Gets a token; changes nothing.

    Raises:
        AuthRejected: There is no credential, it is not a service account's key, or Google does not
            take it.
        Unavailable: The token endpoint did not answer.
    """
    if connection.access_token is not None:
        return Token(_secret.reveal(ctx, connection.access_token), None)
    if connection.service_account_key is None:
        raise AuthRejected(f"{connection.project} has no credentials")  # the model refuses it
    given = connection.endpoints.get("oauth2")
    uri = f"{given.rstrip('/')}/token" if given else TOKEN_URI
    assertion = _assertion(ctx, _secret.reveal(ctx, connection.service_account_key), uri)
    what = f"the token endpoint for {connection.project}"
    answer = await _http.send(
        ctx,
        "POST",
        uri,
        label=what,
        form={"grant_type": GRANT, "assertion": assertion},
        changes=False,
    )
    error = error_of(answer, what, changes=False, hidden=(assertion,))
    if isinstance(error, Rejected):  # invalid_grant is a 400
        raise AuthRejected(str(error)) from None
    if error is not None:
        raise error
    return _token(ctx, answer, what)


def _token(ctx: Context, answer: _http.Response, what: str) -> Token:
    try:
        body: Any = answer.json()
        value, life_s = body["access_token"], float(body["expires_in"])
        kind = body.get("token_type", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable(f"{what} answered something that is no token") from None
    if not isinstance(value, str) or not value or str(kind).lower() != "bearer":
        raise Unavailable(f"{what} answered a token that cannot be used")
    return Token(value, ctx.clock.now().boot_s + life_s - _KEEP_S)


def _assertion(ctx: Context, key: str, uri: str) -> str:
    """Who we are and what for, signed. The key's text is in no message."""
    from google.auth import crypt, jwt

    make: Any = crypt.RSASigner.from_service_account_info  # untyped there
    encode: Any = jwt.encode

    try:
        info: Any = json.loads(key)
        kind = info["type"]
        signer = make(info)
        issuer = str(info["client_email"])
    except Exception:  # noqa: BLE001 (whatever the parsers say, they say it about a secret)
        raise AuthRejected("the service account's key cannot be read") from None
    if kind != "service_account":
        raise AuthRejected("the credential is not a service account's key")
    issued_s = int(ctx.clock.now().wall.timestamp())
    claims = {"iss": issuer, "scope": SCOPE, "aud": uri, "iat": issued_s, "exp": issued_s + _LIFE_S}
    return str(encode(signer, claims).decode("ascii"))
