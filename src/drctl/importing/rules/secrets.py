"""Passwords and roles in a script (E5, E6, E69)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Script
from drctl.importing.secrets import DOUBTFUL
from drctl.importing.tools import kubectls

_SUPERUSER = re.compile(r"\b(?:postgres|postgresql|mysql)(?:\+\w+)?://(postgres|root|admin)[:@]")
_SECRET_NAME = re.compile(r"URL|DSN|PASS|SECRET|TOKEN|KEY", re.IGNORECASE)


def _plain_text(script: Script) -> Iterator[Hit]:
    for secret in script.secrets:
        if "header" not in secret.kind and secret.kind not in DOUBTFUL:
            yield Hit(secret.at, f"{secret.kind}: everybody who reads ps, history or Git has it")


def _superuser(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        for word in command.words:
            if found := _SUPERUSER.search(word.text):
                yield Hit(word.at, f'connects as the superuser "{found[1]}"')
                break
        user = command.word("-U", "--username")
        if user and user.text in {"postgres", "root"} and command.name.startswith(("pg_", "psql")):
            yield Hit(user.at, f'{command.name} connects as the superuser "{user.text}"')


def _expands_here(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "exec"):
        for word in call.inside:
            for one in word.expansions:
                if one.quoting == "double" and _SECRET_NAME.search(one.name):
                    what = f"${one.name} is filled in on this machine, not in the pod"
                    yield Hit(one.at, what)


RULES = (
    Rule(
        id="DR6505",
        title="A secret in plain text",
        severity="error",
        reason="It is in the arguments (ps), the shell's history, the ReplicaSets and Git.",
        bad='kubectl set env deployment/app DATABASE_URL="postgresql://app:hunter2@db/app"\n',
        good="kubectl set env deployment/app --from=secret/app-db\n",
        fix="The draft names a reference in its place. Rotate the secret: it has been exposed.",
        find=_plain_text,
    ),
    Rule(
        id="DR6506",
        title="The superuser is used",
        severity="error",
        reason="The application and a promotion need far less: pg_promote needs one grant.",
        bad="pg_dump --host=db --username=postgres app\n",
        good="pg_dump --host=db --username=backup app\n",
        fix="The environment names a role of its own for drctl; the application keeps its own.",
        find=_superuser,
    ),
    Rule(
        id="DR6569",
        title="A variable of the pod is filled in on the operator's machine",
        severity="error",
        reason="Inside double quotes the shell here expands it: empty or another database's, and"
        " then in the arguments for everybody to read.",
        bad="kubectl exec deployment/app -- python -c \"connect('$DATABASE_URL')\"\n",
        good="kubectl exec deployment/app -- python -c 'connect(os.environ[\"DATABASE_URL\"])'\n",
        fix="The adapter asks the database itself, with the environment's reference.",
        find=_expands_here,
    ),
)
