"""What the application tells its monitoring: how many requests it answered, and how."""

from collections import Counter
from http import HTTPStatus
from typing import Final

_ROUTES: Final = {("GET", "/health"), ("POST", "/api/v1/pipelines")}
"""The probes of the kubelet and of the balancer are no requests of anybody."""


class Metrics:
    """Counters since the start."""

    def __init__(self) -> None:
        # From the start and at zero: a counter that appears with the first error has no rate yet.
        self._counts: Counter[tuple[str, str, int]] = Counter(
            {(*route, status): 0 for route in _ROUTES for status in (200, 201, 503)}
        )

    def count(self, method: str, path: str, status: HTTPStatus) -> None:
        """One request more."""
        route = (method, path.partition("?")[0])
        if route in _ROUTES:
            self._counts[(*route, status.value)] += 1

    def __str__(self) -> str:
        lines = ["# TYPE http_requests_total counter"]
        for (method, route, status), count in sorted(self._counts.items()):
            told = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"http_requests_total{{{told}}} {count}")
        return "\n".join(lines) + "\n"
