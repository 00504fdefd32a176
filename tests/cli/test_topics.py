"""What ``drctl explain TOPIC`` shows."""

import subprocess
import sys


def test_the_safety_topic_is_shown_with_what_is_not_promised():
    shown = subprocess.run(
        [sys.executable, "-m", "drctl", "explain", "safety"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "## What is not promised" in shown
    assert "Zero loss with asynchronous replication" in shown
