"""Which commands of a script have no way back, as far as their words tell."""

import re

from drctl.importing.script import Command
from drctl.importing.tools import aws, kubectl

_ALWAYS = {
    "rm", "rmdir", "unlink", "shred", "wipefs", "dd", "truncate", "lvremove", "vgremove",
    "dropdb", "dropuser",
}  # fmt: skip
_BY_VERB = {
    "terraform": {"destroy"},
    "tofu": {"destroy"},
    "terragrunt": {"destroy"},
    "pulumi": {"destroy"},
    "helm": {"uninstall", "delete"},
    "gcloud": {"delete"},
    "gsutil": {"rm", "rb"},
    "az": {"delete"},
    "docker": {"rm", "rmi", "prune"},
}
_AWS = re.compile(r"^(?:delete|terminate|purge|remove|deregister|rm|rb)\b")
_STATEMENT = re.compile(r"\b(?:DROP|TRUNCATE|DELETE\s+FROM|FLUSHALL|FLUSHDB)\b", re.IGNORECASE)
_CLIENTS = {"psql", "mysql", "redis-cli", "mongosh", "mongo"}


def destroys(command: Command) -> bool:
    """
    Whether a command takes away what it cannot give back. A word too many costs a person a look,
    one too few shows a deletion as a change that could be undone.
    """
    name = command.name
    if _takes_away(name):
        return True
    if call := kubectl(command):
        in_pod = call.inside[0].text if call.inside else ""
        return call.verb == "delete" or _takes_away(in_pod.rpartition("/")[2])
    if asked := aws(command):
        return bool(_AWS.match(asked.operation))
    words = set(command.args)
    if name in _CLIENTS:
        return any(_STATEMENT.search(text) for text in words)
    if name == "find":
        return "-delete" in words
    return bool(words & _BY_VERB.get(name, set()))


def _takes_away(program: str) -> bool:
    return program in _ALWAYS or program.startswith("mkfs")
