"""Names, as the environment's own resolvers see them."""

from drctl.actions.contract import Adapter
from drctl.adapters.dns.ready_ttl import TtlWithinBudget
from drctl.adapters.dns.record import ResolveRecord

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="dns",
    actions=(ResolveRecord(),),
    checks=(TtlWithinBudget(),),
    libraries=("dns.asyncresolver",),
)
