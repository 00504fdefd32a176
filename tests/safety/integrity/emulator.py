"""A side that anything may be sent to: it counts connections, and keeps the heads of requests."""

import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Emulator:
    """Answers HTTP with an empty document, everything else by hanging up."""

    host: str
    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        self._server = socket.create_server((self.host, self.port))
        self._server.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                peer, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with peer:
                peer.settimeout(0.5)
                try:
                    self.requests.append(self._read(peer))
                    body = b"{}"
                    head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n"
                    kind = "Content-Type: application/json\r\nConnection: close\r\n\r\n"
                    peer.sendall((head + kind).encode() + body)
                except OSError:
                    continue

    @staticmethod
    def _read(peer: socket.socket) -> bytes:
        data = peer.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                wanted = int(line.split(b":")[1])
                while len(body) < wanted:
                    more = peer.recv(65536)
                    if not more:
                        break
                    body += more
        return head + b"\r\n\r\n" + body

    def mutations(self) -> list[bytes]:
        """Requests that would change something: no GET or HEAD, no call of AWS that describes."""
        found = []
        for request in self.requests:
            verb = request.split(b" ", 1)[0]
            asks = any(word in request for word in READS)
            if verb not in {b"GET", b"HEAD", b""} and verb.isalpha() and not asks:
                found.append(request)
        return found


READS = (b"Action=Describe", b"Action=List", b"Action=Get")
