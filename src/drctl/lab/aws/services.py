"""Says no to services that the emulator does not have, where it would print and crash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from moto.backend_index import backend_url_patterns
from moto.backends import list_of_moto_modules

from drctl.lab.aws.front import scope_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def refuse_unknown_services(app: WSGIApplication) -> WSGIApplication:
    """
    Wraps the emulator's dispatcher.

    Args:
        app: The dispatcher.

    Returns:
        An application that raises `NotImplementedError` for absent services.
    """
    known = set(list_of_moto_modules())

    def is_known(service: str, region: str) -> bool:
        host = f"http://{service}.{region}.amazonaws.com"
        return service in known or any(pattern.match(host) for _, pattern in backend_url_patterns)

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        scope = scope_of(environ)
        if scope is not None and not is_known(scope.service, scope.region):
            raise NotImplementedError(f"there is no {scope.service} here")
        return app(environ, start_response)

    return checked
