"""
What a client that only reads may send, by what is sent and not by what its caller says of it.

Planning, looking and reading back must change nothing, also by a bug: an adapter that takes the
wrong method for a write would not ask `Context.permit`. So the clients of both kinds are apart, and
the reading ones refuse every verb that is not known to read.
"""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from drctl.actions.contract import NotPermittedError

_AWS_READS: Final = re.compile(
    r"(BatchGet|Describe|Get|Head|List|Lookup|Query|Search|Simulate|Test)(?=[A-Z0-9]|$)"
)
_REST: Final = frozenset({"rest-json", "rest-xml"})
_REVIEWS: Final = ("/selfsubjectaccessreviews", "/selfsubjectrulesreviews")
_SQL_READS: Final = re.compile(r"(SELECT|WITH|SHOW|VALUES|TABLE)\b", re.IGNORECASE)
_SQL_FRAME: Final = re.compile(
    r"(BEGIN\b(?=.*\bREAD ONLY$)(?!.*\bREAD WRITE\b)[\w ]*|COMMIT|ROLLBACK|END)$", re.IGNORECASE
)
_SQL_WRITES: Final = re.compile(
    r"\b(insert\s+into|update\s+(only\s+)?[\w.\"]+\s+set|delete\s+from|merge\s+into|truncate|for\s+(no\s+key\s+)?update"
    r"|into\s+(temp|unlogged|table)\b"
    r"|pg_promote|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile"
    r"|pg_switch_wal|pg_create_\w+|pg_drop_\w+|pg_copy_\w+|pg_replication_slot_advance"
    r"|pg_wal_replay_(pause|resume)|pg_backup_(start|stop)|pg_stat_reset\w*|pg_logical_emit_message"
    r"|pg_(try_)?advisory_\w+|set_config|setval|nextval|lo_\w+|dblink\w*|pg_file_\w+|pg_import_\w+)"
    r"\s*\(?",
    re.IGNORECASE,
)
_SQL_TEXTS: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_REDIS_READS: Final = frozenset(
    {
        "AUTH", "CLUSTER", "COMMAND", "DBSIZE", "ECHO", "EXISTS", "GET", "HELLO", "INFO",
        "LASTSAVE", "PING", "PTTL", "QUIT", "READONLY", "ROLE", "SELECT", "STRLEN", "TIME", "TTL",
        "TYPE", "WAIT",
    }
)  # fmt: skip
_REDIS_PARTS: Final = {
    "CONFIG": {"GET"},
    "CLIENT": {"GETNAME", "ID", "INFO", "LIST", "SETINFO", "SETNAME"},
    "MEMORY": {"USAGE", "STATS"},
    "SENTINEL": {
        "CKQUORUM", "GET-MASTER-ADDR-BY-NAME", "MASTER", "MASTERS", "MYID", "REPLICAS",
        "SENTINELS", "SLAVES",
    },
}  # fmt: skip


def require_aws(operation: str, protocol: str, method: str) -> None:
    """
    Lets an operation of AWS through that the service model shows to read.

    Args:
        operation: As the model calls it: ``DescribeDBInstances``.
        protocol: The service's; of those that speak REST the method must be a read too.

    Raises:
        NotPermittedError: Any other.
    """
    is_read = _AWS_READS.match(operation) is not None
    if not is_read or (protocol in _REST and method not in {"GET", "HEAD"}):
        raise NotPermittedError(f"{operation} is no read, and this client only reads")


def require_kubernetes(method: str, url: str) -> None:
    """
    Lets GET through (a list and a watch are GETs), a question of what we may do, and what the
    server is told not to store.

    Raises:
        NotPermittedError: Anything else; a GET that runs a command in a pod too.
    """
    parts = urlsplit(url)
    is_read = method in {"GET", "HEAD"} and not parts.path.endswith(("/exec", "/attach", "/proxy"))
    is_question = method == "POST" and parts.path.endswith(_REVIEWS)
    is_dry = method == "PATCH" and parse_qs(parts.query).get("dryRun") == ["All"]
    if not (is_read or is_question or is_dry):
        raise NotPermittedError(f"{method} is no read, and this client only reads")


def require_http(method: str, *, asks_token: bool) -> None:
    """
    Lets GET and HEAD through, and the POST that asks for a token.

    Raises:
        NotPermittedError: Anything else.
    """
    if method not in {"GET", "HEAD"} and not (asks_token and method == "POST"):
        raise NotPermittedError(f"{method} is no read, and this client only reads")


def require_sql(statement: str) -> bool:
    """
    Lets one statement through that reads, or frames a transaction that only reads.

    Returns:
        False for a frame; a statement is to be run in a transaction that only reads.

    Raises:
        NotPermittedError: Anything else, also a read by a function that changes something.
    """
    bare = _SQL_TEXTS.sub("''", statement).strip().rstrip(";").rstrip()
    if _SQL_FRAME.match(bare):
        return False
    found = _SQL_WRITES.search(bare)
    if ";" in bare or not _SQL_READS.match(bare) or found:
        said = found[0].strip() if found else bare.split(None, 1)[0] if bare else "nothing"
        raise NotPermittedError(f"SQL: {said} is no read, and this session only reads")
    return True


def require_redis(*words: object) -> None:
    """
    Lets a command of Redis, or of a sentinel, through that reads.

    Raises:
        NotPermittedError: Any other.
    """
    command = str(words[0]).upper() if words else ""
    part = str(words[1]).upper() if len(words) > 1 else ""
    if command not in _REDIS_READS and part not in _REDIS_PARTS.get(command, set()):
        raise NotPermittedError(f"{command} {part} is no read, and this client only reads".strip())
