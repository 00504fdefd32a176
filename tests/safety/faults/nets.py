"""Where the fault matrix lives: another net for a second run on the same machine."""

import os

NET = int(os.environ.get("DRCTL_FAULTS_NET", "216"))
"""The first of three: ``127.216`` to ``127.218``."""
