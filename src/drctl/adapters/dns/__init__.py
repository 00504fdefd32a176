"""Names, as the environment's own resolvers see them."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="dns",
    actions=Late(
        __name__,
        {
            "dns.record.resolve": "record:ResolveRecord",
        },
    ),
    checks=Late(
        __name__,
        {
            "dns.ttl": "ready_ttl:TtlWithinBudget",
        },
    ),
    libraries=("dns.asyncresolver",),
)
