"""
What a pull request shows of a runbook and its plan: annotations, Markdown, JUnit, SARIF.

Titles and messages come from whoever opened the pull request: every writer here makes them inert
for the machine that reads it.
"""
