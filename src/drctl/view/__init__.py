"""What a terminal or a CI log shows while things happen."""
