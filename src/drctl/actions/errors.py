"""
The only words an adapter may fail with. Retry decisions read the class, never the text.

    ActionError
    ├── Throttled        asked too often; nothing happened
    ├── Unavailable      could not be reached, or answered "not now"; nothing happened
    ├── AuthRejected     credentials missing, expired, or not allowed
    ├── NotFound         the target does not exist where the environment says it is
    ├── Conflict         the target is in a state in which the call is refused
    ├── Rejected         the request itself is wrong, or a check that the action makes said no
    └── OutcomeUnknown   the request may have left and no answer came

A failure is `OutcomeUnknown` unless the adapter *knows* that nothing happened: connection refused
before sending is `Unavailable`; a time-out after sending is `OutcomeUnknown`.
"""

from typing import ClassVar

from drctl.kernel.text import sanitize


class ActionError(Exception):
    """A call did not do what it was asked. The message quotes the other side, made inert."""

    word: ClassVar[str]
    """How runbooks name it in ``retry.on_errors``."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(sanitize(message))
        self.request_id = request_id


class Throttled(ActionError):
    """Asked too often; nothing happened. ``retry_after_s`` is the other side's wish."""

    word = "throttled"

    def __init__(
        self, message: str, *, request_id: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after_s = retry_after_s


class Unavailable(ActionError):
    """Not reached, or "not now"; nothing happened."""

    word = "unavailable"


class AuthRejected(ActionError):
    """Credentials are missing, expired or not allowed."""

    word = "auth_rejected"


class NotFound(ActionError):
    """No such thing there."""

    word = "not_found"


class Conflict(ActionError):
    """Its present state refuses the call."""

    word = "conflict"


class Rejected(ActionError):
    """The request is wrong, or a check that the action makes said no."""

    word = "rejected"


class OutcomeUnknown(ActionError):
    """The request may have left; whether it took effect is not known."""

    word = "outcome_unknown"


WORDS: dict[str, type[ActionError]] = {
    error.word: error
    for error in (
        Throttled,
        Unavailable,
        AuthRejected,
        NotFound,
        Conflict,
        Rejected,
        OutcomeUnknown,
    )
}
"""Every word that a runbook may write."""
