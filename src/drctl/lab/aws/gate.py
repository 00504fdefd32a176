"""A region's API server that can be cut off from its callers without telling them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_NO_LINGER: Final = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a goodbye
_POLL_S: Final = 0.02


class Gate:
    """
    Whether packets reach a region.

    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether the region can be reached."""
        return self._is_open

    def set_open(self, is_open: bool) -> None:
        """Opens or shuts the gate; those who hang at it are let go when it opens."""
        with self._condition:
            self._is_open = is_open
            self._condition.notify_all()

    def pass_through(self) -> None:
        """
        Returns at once when the gate is open, else hangs until it opens.

        Raises:
            ConnectionAbortedError: The gate was shut, so the caller is long gone.
        """
        with self._condition:
            if self._is_open:
                return
            self._condition.wait_for(lambda: self._is_open)
        raise ConnectionAbortedError


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: a poll every half second would bury everything else."""

    def connection_dropped(
        self,
        error: BaseException,
        environ: WSGIEnvironment | None = None,
    ) -> None:
        self.close_connection = True


class GatedServer(ThreadedWSGIServer):
    """
    Serves one region's API in threads, as long as its gate is open.

    While it is shut the kernel still accepts connections; nobody answers. A
    request that was under way is carried out, and its answer is lost.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], app: WSGIApplication, gate: Gate) -> None:
        self._gate = gate
        self._unanswered: list[socket.socket] = []

        def gated(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            gate.pass_through()
            answer = app(environ, start_response)
            gate.pass_through()
            return answer

        super().__init__(*address, gated, handler=_QuietHandler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name=f"aws-{address[0]}", daemon=True
        )

    def start(self) -> None:
        """
        Begins to serve.

        Changes:
            Starts a thread.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        Stops serving, closes the address, lets go of those who hang.

        Changes:
            Ends the thread.
        """
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._gate.set_open(is_open=True)
        self._drop_unanswered()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hands a connection to a thread, or keeps it unanswered while the gate is shut."""
        if self._gate.is_open:
            super().process_request(request, client_address)
        else:
            self._unanswered.append(request)

    def service_actions(self) -> None:
        """Runs every few milliseconds: forgets callers that left, and all when the gate opens."""
        if self._gate.is_open:
            self._drop_unanswered()
        else:
            self._unanswered = [caller for caller in self._unanswered if not _has_left(caller)]

    def _drop_unanswered(self) -> None:
        for caller in self._unanswered:
            with contextlib.suppress(OSError):
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            caller.close()
        self._unanswered.clear()


def _has_left(caller: socket.socket) -> bool:
    # Reading what it said is the only way to see a goodbye behind it.
    caller.setblocking(False)  # noqa: FBT003  the socket module's own signature
    try:
        while caller.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    caller.close()
    return True
