"""A service, asked over HTTP."""

from drctl.actions.contract import Adapter
from drctl.adapters.http.probe import Probe
from drctl.adapters.http.sample import Sample

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="http", actions=(Probe(), Sample()), libraries=("httpx", "dns.asyncresolver")
)
