"""Words any room may use; nothing of ours below."""
