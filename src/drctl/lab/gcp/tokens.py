"""Google's token endpoint: service accounts with real keys, assertions that are really checked."""

import json
import secrets
import time
from functools import cache
from typing import Any, Final

from aiohttp import web

from drctl.lab.gcp.wire import Refusal

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_S: Final = 3600
_LONGEST_ASSERTION_S: Final = 3600
_SCOPES: Final = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/sqlservice.admin",
        "https://www.googleapis.com/auth/ndev.clouddns.readwrite",
    }
)


class Tokens:
    """One service account of a project, its key, and the tokens that it was given."""

    def __init__(self, project: str, uri: str) -> None:
        """
        Args:
            uri: Where the token endpoint is; an assertion must be addressed to it.
        """
        self._project = project
        self.uris = [uri]
        """What an assertion may be addressed to: more when the endpoint is behind a proxy."""
        self.email = f"drctl@{project}.iam.gserviceaccount.com"
        self._key_id, self._private, self._certificates = _key_pair()
        self._until_s: dict[str, float] = {}

    def key_file(self) -> str:
        """The service account's key, as Google hands it out."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": self._project,
                "private_key_id": self._key_id,
                "private_key": self._private,
                "client_email": self.email,
                "client_id": "100000000000000000001",
                # Never followed by drctl: where a token is asked for is the environment's to say.
                "token_uri": "https://oauth2.invalid/token",
            }
        )

    def issue(self, life_s: float = LIFE_S) -> str:
        """A token, as if somebody had been given one."""
        token = f"ya29.{secrets.token_urlsafe(32)}"
        self._until_s[token] = time.monotonic() + life_s
        return token

    def revoke_all(self) -> None:
        """Makes every token worthless."""
        self._until_s.clear()

    def require(self, request: web.Request) -> None:
        """
        Checks the bearer token of a request.

        Raises:
            Refusal: There is none, or it is not valid any more.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._until_s.get(token, 0.0) <= time.monotonic():
            message = (
                "Request had invalid authentication credentials. Expected OAuth 2 access token,"
                " login cookie or other valid authentication credential."
            )
            raise Refusal(401, "authError", message)

    async def grant(self, request: web.Request) -> web.Response:
        """Answers the token endpoint."""
        if request.content_type != "application/x-www-form-urlencoded":
            return _no("invalid_request", "The request must be a form.")
        form = await request.post()
        if form.get("grant_type") != GRANT:
            return _no("unsupported_grant_type", "Invalid grant_type")
        problem = self._problem_of(str(form.get("assertion", "")))
        if problem is not None:
            return _no("invalid_grant", problem)
        token = self.issue()
        return web.json_response(
            {"access_token": token, "expires_in": LIFE_S - 1, "token_type": "Bearer"}
        )

    def _problem_of(self, assertion: str) -> str | None:
        from google.auth import exceptions, jwt

        try:
            decode: Any = jwt.decode  # untyped there
            claims: Any = decode(assertion, certs=self._certificates, audience=self.uris)
        except (ValueError, exceptions.GoogleAuthError) as error:
            return f"Invalid JWT: {str(error)[:100]}"
        if claims.get("iss") != self.email:
            return "Invalid grant: account not found"
        if not set(str(claims.get("scope", "")).split()) & _SCOPES:
            return "Invalid OAuth scope or ID token audience provided."
        if claims["exp"] - claims["iat"] > _LONGEST_ASSERTION_S:
            return "Invalid JWT: Token must be a short-lived token (60 minutes)"
        return None


@cache
def _key_pair() -> tuple[str, str, dict[str, str]]:
    """Id, private key, public keys by id; one for the process, because making one takes long."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key_id = secrets.token_hex(20)
    return key_id, private.decode(), {key_id: public.decode()}


def _no(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
