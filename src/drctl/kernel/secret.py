"""Secrets: a reference that may be written down, a value that may not."""

import re
from typing import Any, NoReturn, Protocol

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)


class Secret:
    """
    A value that no sink can show.

    It has no useful text form, cannot be pickled, copied into JSON or compared in a message; the
    one way to the value is `reveal`, which only adapters call, as late as they can.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Returns the value. Call it in the argument of the library call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        message = "a Secret cannot be serialised"
        raise TypeError(message)


class SecretRef(str):
    """Where a secret is: ``env:NAME`` or ``file:/path``. Safe to print, plan and journal."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls._checked,
            handler(str),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def _checked(cls, text: str) -> "SecretRef":
        if not _REFERENCE.fullmatch(text):
            # The text itself is not repeated: it may be the secret that somebody pasted.
            message = "a secret is written as a reference, env:NAME or file:/path, never as itself"
            raise ValueError(message)
        return cls(text)

    @property
    def scheme(self) -> str:
        """``env`` or ``file``."""
        return self.split(":", 1)[0]

    @property
    def place(self) -> str:
        """The variable's name or the file's path."""
        return self.split(":", 1)[1]


class Secrets(Protocol):
    """Turns references into values. Reads the outside world; nothing is cached on disk."""

    def resolve(self, ref: SecretRef) -> Secret:
        """
        Reads the secret.

        Raises:
            CredentialsError: The reference leads nowhere; the message names it, never a value.
        """
        ...
