"""The text of a lab server's configuration files."""

from __future__ import annotations

import os
from typing import Final

from drctl.lab import wire

SUPERUSER: Final = "rdsadmin"
"""Bootstrap superuser, as on RDS: the vendor's own, never a customer's."""

REPLICATION_USER: Final = "rdsrepladmin"

HOST_BASED_ACCESS: Final = f"""\
# The superuser has no way in over TCP; nothing is ever trusted.
local  all          all                               scram-sha-256
host   all          {SUPERUSER}      all              reject
host   replication  {REPLICATION_USER}  127.0.0.0/8   scram-sha-256
host   all          all              127.0.0.0/8      scram-sha-256
"""

_SETTINGS: Final = """\
# A standby must be able to follow, to be promoted, and the old primary to be rewound.
wal_level = replica
hot_standby = on
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = 512MB

# A vendor's minute is a lab's second: a link that went silent is noticed in 10 s, not 60 s.
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms

# Small: several servers share a developer's machine.
shared_buffers = 16MB
max_connections = 100
max_wal_size = 256MB
min_wal_size = 32MB
jit = off

# Files in the data folder, because those in /dev/shm would outlive a SIGKILL.
dynamic_shared_memory_type = mmap

password_encryption = scram-sha-256
timezone = UTC
log_timezone = UTC
log_line_prefix = '%m [%p] %q%u@%d '
"""

# PostgreSQL 18 starts three more processes for asynchronous reads, which a lab has no use for.
_SINCE_18: Final = "io_method = sync\n"


# Each statement with who sent it, for whoever counts them (`drctl.lab.wire`).
_COUNTED: Final = "log_statement = all\nlog_line_prefix = '%m [%p] %q%a|%u@%d '\n"


def server_settings(major: int) -> str:
    """Returns what is appended to ``postgresql.conf`` of a server of a major version."""
    counted = _COUNTED if os.environ.get(wire.VARIABLE) else ""
    return "\n" + _SETTINGS + counted + (_SINCE_18 if major >= 18 else "")
