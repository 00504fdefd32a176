"""Names, as the environment's own resolvers see them."""

from drctl.actions.contract import Adapter
from drctl.adapters.dns.record import ResolveRecord

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="dns", actions=(ResolveRecord(),), libraries=("dns.asyncresolver",))
