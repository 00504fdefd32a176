"""A service, asked over HTTP."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="http",
    actions=Late(
        __name__,
        {
            "http.probe": "probe:Probe",
            "http.sample": "sample:Sample",
        },
    ),
    libraries=("httpx", "dns.asyncresolver"),
)
