"""A service, asked over HTTP."""

from drctl.actions.contract import Adapter
from drctl.adapters.http.probe import Probe

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="http", actions=(Probe(),), libraries=("httpx", "dns.asyncresolver"))
