"""
Whether a recovery's prerequisites hold now: which ones, from its plan; what was seen; the verdict.

`derive` and `judge` are pure; `ask` is the only module here that calls what adapters declare. It
asks about no more than the steps of a plan use, and says which steps nothing was asked for.
"""
