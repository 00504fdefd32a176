"""One folder per outside system; the only place a vendor SDK is imported."""
