"""What the words of kubectl, aws and their like say: read once, for the rules and the mapping."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drctl.importing.script import Command, Script, Word

_KUBECTL_VALUED = {
    "-n", "--namespace", "--context", "--cluster", "--user", "--kubeconfig", "-l", "--selector",
    "-o", "--output", "-f", "--filename", "-p", "--patch", "--type", "-c", "--container", "-k",
    "--replicas", "--to-revision", "--timeout", "--for", "--tail", "--since", "--as", "--server",
    "--field-selector", "--grace-period", "-s", "--request-timeout", "--token",
}  # fmt: skip
_TWO_WORDS = {"set", "rollout", "create", "auth", "config", "top", "cnpg"}
_READING = {
    "get", "describe", "logs", "top", "version", "wait", "explain", "api-resources", "cluster-info",
    "diff", "auth can-i", "rollout status", "rollout history", "config view", "cnpg status",
    "config current-context", "events",
}  # fmt: skip
_GLOBAL = {"route53", "iam", "sts", "cloudfront", "configure", "s3api", "s3"}
_AWS_READING = re.compile(r"^(?:describe|list|get|head|wait|ls|lookup|test|estimate|validate)\b")
DATABASE = re.compile(r"database|postgres|\bdb\b|_db|db_|pg_|pghost|dsn|jdbc", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """A call of kubectl or oc."""

    command: Command
    verb: str
    """One word, or two: ``set env``, ``rollout undo``."""
    kind: str
    """As written, in lower case: ``deployment``, ``pods``; empty when there is none."""
    name: str
    inside: tuple[Word, ...]
    """What runs in the pod, after ``--``."""
    rest: tuple[Word, ...]
    """Words after kind and name that are no flags."""

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.verb not in _READING


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """A call of the aws command line."""

    command: Command
    service: str
    operation: str

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return not _AWS_READING.match(self.operation)

    @property
    def is_global(self) -> bool:
        """The service has no regions."""
        return self.service in _GLOBAL


def kubectl(command: Command) -> Kubectl | None:
    """Reads a command as a call of kubectl; ``None`` when it is none."""
    if command.name not in {"kubectl", "oc"}:
        return None
    plain: list[Word] = []
    inside: tuple[Word, ...] = ()
    words = list(command.words[1:])
    while words:
        word = words.pop(0)
        if word.text == "--":
            inside = tuple(words)
            break
        if word.text.startswith("-"):
            if word.text in _KUBECTL_VALUED and words:
                words.pop(0)
        else:
            plain.append(word)
    size = 2 if plain and plain[0].text in _TWO_WORDS else 1
    verb = " ".join(word.text for word in plain[:size])
    kind, _, name = plain[size].text.partition("/") if len(plain) > size else ("", "", "")
    used = size + 1
    if kind and not name and verb not in {"exec", "logs", "apply"} and len(plain) > used:
        name = plain[used].text
        used += 1
    elif verb in {"exec", "logs"} and kind and not name:
        kind, name = "pod", kind
    if verb == "exec" and not inside:
        inside = tuple(plain[used:])
    return Kubectl(
        command=command, verb=verb, kind=kind.lower(), name=name, inside=inside,
        rest=tuple(plain[used:]),
    )  # fmt: skip


def aws(command: Command) -> Aws | None:
    """Reads a command as a call of aws; ``None`` when it is none."""
    if command.name != "aws":
        return None
    plain: list[str] = []
    words = list(command.args)
    while words and len(plain) < 3:  # noqa: PLR2004 (service, operation, and wait's own word)
        word = words.pop(0)
        if word.startswith("--"):
            if "=" not in word and words and not words[0].startswith("--"):
                words.pop(0)
            continue
        plain.append(word)
    service, operation, more = (*plain, "", "", "")[:3]
    if operation == "wait":
        operation = f"wait {more}"
    return Aws(command=command, service=service, operation=operation)


def kubectls(script: Script, *verbs: str) -> Iterator[Kubectl]:
    """Every call of kubectl with one of *verbs*; all without."""
    for command in script.named("kubectl", "oc"):
        call = kubectl(command)
        if call is not None and (not verbs or call.verb in verbs):
            yield call


def awses(script: Script, *operations: str) -> Iterator[Aws]:
    """Every call of aws with one of *operations*; all without."""
    for command in script.named("aws"):
        call = aws(command)
        if call is not None and (not operations or call.operation in operations):
            yield call


def changes(command: Command) -> bool:
    """Whether a command may change something outside of this machine."""
    call = kubectl(command) or aws(command)
    if call is not None:
        return call.changes
    if command.name == "curl":
        return is_post(command)
    if command.name == "psql":
        return not re.search(r"\bselect\b", command.text, re.IGNORECASE) or is_promotion(command)
    return command.name in {
        "patronictl",
        "pg_ctl",
        "gcloud",
        "helm",
        "terraform",
        "ssh",
        "pg_restore",
    }


def first_change(script: Script) -> Command | None:
    """The first command that may change something outside."""
    return next((one for one in script.commands if changes(one)), None)


def is_promotion(command: Command) -> bool:
    """A command that is meant to make a standby the primary."""
    call = aws(command)
    if call is not None:
        return call.operation in {"promote-read-replica", "promote-read-replica-db-cluster"}
    cube = kubectl(command)
    text = command.text
    if cube is not None and cube.verb == "cnpg promote":
        return True
    if cube is not None and cube.verb in {"patch", "exec"}:
        return bool(re.search(r"hot_standby\W+off|pg_promote|pg_ctl.*promote", text))
    if command.name == "patronictl":
        return bool({"failover", "switchover"} & set(command.args))
    return command.name in {"psql", "pg_ctl", "ssh"} and bool(
        re.search(r"pg_promote|pg_ctl.*promote|^pg_ctl.*\bpromote", text)
    )


def promotions(script: Script) -> list[Command]:
    """Every command that is meant to promote."""
    return [one for one in script.commands if is_promotion(one)]


def is_replica_promotion(command: Command) -> bool:
    """A promotion of an RDS read replica."""
    return command.name == "aws" and is_promotion(command)


def is_post(command: Command) -> bool:
    """A curl that sends something."""
    method = command.value("-X", "--request")
    if method:
        return method.upper() not in {"GET", "HEAD"}
    return command.has("-d", "--data", "--data-raw", "--data-binary", "--json", "-F", "--form")


def url_of(command: Command) -> Word | None:
    """The address that curl or wget is given."""
    named = command.word("--url")
    if named:
        return named
    return next((one for one in command.words[1:] if re.match(r"(?i)https?://", one.text)), None)


def traffic_moves(script: Script) -> list[Command]:
    """Every command that changes a DNS record."""
    return [one.command for one in awses(script, "change-resource-record-sets")]


def sets_database(call: Kubectl) -> bool:
    """A ``set env`` of something that says where the database is."""
    return call.verb == "set env" and any(DATABASE.search(word.text) for word in call.rest)


def replicas_of(call: Kubectl) -> int | None:
    """The number that ``scale`` is given, where it is one."""
    text = call.command.value("--replicas") or ""
    return int(text) if text.isdecimal() and len(text) < 5 else None  # noqa: PLR2004


def queries(command: Command, *patterns: str) -> bool:
    """One of *patterns* is in the command's words."""
    return any(re.search(pattern, command.text, re.IGNORECASE) for pattern in patterns)
