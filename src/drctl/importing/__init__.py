"""
A shell script turned into a draft runbook, and what is wrong with the script.

The script is text here and never anything else: nothing of it runs, is expanded, or is looked up.
`secrets` takes what must not be copied out of the text before anything else sees it; `shell` makes
commands of the rest; `mapping` says for each statement which installed action does it; `rules` say
what the script gets wrong; `draft` writes the runbook and `account` says what became of each line.
"""
