"""
A network that fails on purpose, in front of any stand-in.

A proxy has a list of rules; each request that comes through is matched against them, and the first
rule that is due does its deed. The same rules, seed and requests give the same faults. What came
in, what was handed on, and when, is in the proxy's log.
"""
