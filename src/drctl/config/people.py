"""Who may say go: the people of an environment, their roles, their keys."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import StringConstraints

from drctl.actions.targets import Part, Text
from drctl.kernel.signature import PublicKey

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,62}$")]
"""A person's or a role's name, lower case: two names that look alike must not be two people."""


class Person(Part):
    """Somebody who may answer gates, with the keys that prove it."""

    roles: tuple[Word, ...] = ()
    """As gates name them: ``incident-commander``."""
    keys: tuple[PublicKey, ...] = ()
    """
    Public keys, ``ed25519:`` and base64: ``drctl key new`` prints them. Two are one person;
    somebody without one may ask, and answers nothing.
    """
    login: Text | None = None
    """Name of this person's account on the machines that drctl runs on: who starts a run under it
    asks for what gates decide, and does not also answer them."""


def complaints(people: Mapping[str, Person]) -> Iterator[tuple[tuple[str, ...], str]]:
    """
    What is wrong across people, with its place: one person who could count as two, or two who could
    not be told apart.
    """
    keys: dict[str, str] = {}
    logins: dict[str, str] = {}
    roles = {role for person in people.values() for role in person.roles}
    for name, person in people.items():
        if name in roles:
            yield (name,), f"{name} is a person and a role; a gate could mean either"
        for key in person.keys:
            if key in keys:
                yield (name, "keys"), f"this key is enrolled for {keys[key]} already"
            keys[key] = name
        if person.login is not None:
            if person.login in logins:
                yield (name, "login"), f"this login is that of {logins[person.login]} already"
            logins[person.login] = name
