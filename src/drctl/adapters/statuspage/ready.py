"""Whether customers could be told something, without telling them anything."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, at_risk, holds
from drctl.actions.contract import Context
from drctl.actions.errors import ActionError
from drctl.actions.targets import StatusPage
from drctl.adapters.statuspage import api


class StatuspageAnswers(Check[StatusPage]):
    """The page is there, and the token may read it; that it may write is not known before."""

    name: ClassVar[str] = "statuspage.reachable"
    summary: ClassVar[str] = "Statuspage answers about the page to this token; nothing is posted"
    targets = (StatusPage,)

    def key(self, asked: Asked[StatusPage]) -> Hashable:
        return asked.name

    async def look(self, ctx: Context, asked: Asked[StatusPage]) -> Sequence[Prerequisite]:
        page = asked.target
        try:
            found = await api.unresolved(ctx, page)
        except ActionError as error:
            do = "customers would not be told: look at the token, the page's id, the way there"
            return [at_risk(page.label, str(error), do)]
        return [holds(page.label, f"it answers; {len(found)} incident(s) are open")]
