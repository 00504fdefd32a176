"""Slack's own error words, which come with status 200, as drctl's."""

from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
)

_WORDS: dict[str, type[ActionError]] = {
    "access_denied": AuthRejected,
    "account_inactive": AuthRejected,
    "ekm_access_denied": AuthRejected,
    "enterprise_is_restricted": AuthRejected,
    "invalid_auth": AuthRejected,
    "missing_scope": AuthRejected,
    "no_permission": AuthRejected,
    "not_allowed_token_type": AuthRejected,
    "not_authed": AuthRejected,
    "not_in_channel": AuthRejected,
    "org_login_required": AuthRejected,
    "restricted_action": AuthRejected,
    "team_access_not_granted": AuthRejected,
    "token_expired": AuthRejected,
    "token_revoked": AuthRejected,
    "channel_not_found": NotFound,
    "team_not_found": NotFound,
    "is_archived": Conflict,
    "rate_limited": Throttled,
    "ratelimited": Throttled,
    "message_limit_exceeded": Throttled,
    "fatal_error": OutcomeUnknown,
    "internal_error": OutcomeUnknown,
    "request_timeout": OutcomeUnknown,
    "service_unavailable": OutcomeUnknown,
}
"""
https://docs.slack.dev/reference/methods/chat.postMessage; any other word means a wrong request.
"""


def word_error(word: str, label: str) -> ActionError:
    """Maps the ``error`` of an answer with ``"ok": false``."""
    return _WORDS.get(word, Rejected)(f"{label} answered {word}")
