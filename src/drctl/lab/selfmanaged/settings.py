"""What the self-managed servers are set to, and what their operator may do."""

from pathlib import Path
from typing import Final

from drctl.lab.postgres.roles import quoted
from drctl.lab.selfmanaged.layout import REPLICATION_USER

# A finished segment is there as a whole or not at all; one that is there already is the same one.
# Sparse: the rest of a segment that was ended early is zeros, which cost no disk then.
_ARCHIVE: Final = (
    "cmp -s %p {w}/%f || (test ! -e {w}/%f && cp --sparse=always %p {w}/.%f && mv {w}/.%f {w}/%f)"
)


def archiving(archive: Path) -> str:
    """The lines of ``postgresql.conf`` that make a server keep its WAL in the archive."""
    command = _ARCHIVE.format(w=archive)
    # A vendor's minute is a lab's second: five minutes of WAL at risk are five seconds here.
    return f"\narchive_mode = on\narchive_timeout = 5s\narchive_command = '{command}'\n"


HOST_BASED_ACCESS: Final = f"""\
host   replication  {REPLICATION_USER}  127.0.0.0/8  scram-sha-256
"""


def powers(password: str) -> str:
    """
    SQL for the two roles of the operator: ``drctl`` may fence, promote and look, and the
    replication user may stream and be read by ``pg_rewind``. Neither is a superuser.
    """
    return f"""
CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD {quoted(password)};
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean),
    pg_stat_file(text, boolean), pg_read_binary_file(text),
    pg_read_binary_file(text, bigint, bigint, boolean) TO {REPLICATION_USER};
GRANT pg_checkpoint TO drctl;
ALTER ROLE drctl REPLICATION;
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_reload_conf(), pg_switch_wal(),
    pg_wal_replay_resume(), pg_read_file(text, bigint, bigint, boolean) TO drctl;
GRANT ALTER SYSTEM ON PARAMETER default_transaction_read_only TO drctl;
"""
