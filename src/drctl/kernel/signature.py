"""
Ed25519 signatures, in the one place that imports `cryptography`.

A public key is text, as it stands in an environment file: ``ed25519:`` and the 32 bytes in base64.
A private key is a line of its own kind, so that nobody enrols one by mistake. Keys of small order
are refused: for those a signature can be made that fits every text, without a private key.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

_PUBLIC, _PRIVATE = "ed25519:", "drctl-private-key:ed25519:"
_BYTES = 32
_P = 2**255 - 19
_SMALL_ORDER = frozenset(
    (
        *(value.to_bytes(_BYTES, "little") for value in (0, 1, _P - 1, _P, _P + 1)),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    )
)
"""The y coordinates of the eight points of small order, in every way they can be written; from
libsodium's ``ge25519_has_small_order``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Both halves, as text."""

    private: str
    public: str


def new_key() -> KeyPair:
    """Makes a key from the machine's own randomness."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = Ed25519PrivateKey.generate().private_bytes_raw()
    private = _PRIVATE + base64.b64encode(seed).decode()
    return KeyPair(private=private, public=public_of(private))


def public_of(private: str) -> str:
    """
    The public half of a private key.

    Raises:
        ValueError: It is no private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_raw(private, _PRIVATE))
    return _PUBLIC + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def check_public(text: str) -> None:
    """
    Refuses what is no public key, or one that anybody can sign for. Imports no library.

    Raises:
        ValueError: Says what is wrong.
    """
    raw = _raw(text, _PUBLIC)
    y = raw[:-1] + bytes([raw[-1] & 0x7F])
    if y in _SMALL_ORDER:
        message = "this key is of small order: anybody could sign for it"
        raise ValueError(message)
    if int.from_bytes(y, "little") >= _P:
        message = "this key is not written in its shortest form"
        raise ValueError(message)


def _checked(text: str) -> str:
    check_public(text)
    return text


PublicKey: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""A public key in a model."""


def fingerprint(public: str) -> str:
    """A short name of a public key, for people to compare: ``SHA256:`` and 16 hex digits."""
    return f"SHA256:{hashlib.sha256(_raw(public, _PUBLIC)).hexdigest()[:16]}"


def sign(private: str, text: bytes) -> bytes:
    """
    Signs *text*.

    Raises:
        ValueError: *private* is no private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(_raw(private, _PRIVATE)).sign(text)


def is_signed(public: str, text: bytes, signature: bytes) -> bool:
    """True when the holder of the private half signed exactly *text*. Never raises."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        check_public(public)
        Ed25519PublicKey.from_public_bytes(_raw(public, _PUBLIC)).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _raw(text: str, prefix: str) -> bytes:
    message = f"a key is {prefix} and 32 bytes in base64"
    if not text.startswith(prefix):
        raise ValueError(message)
    body = text.removeprefix(prefix)
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(message) from error
    # One text for one key: else one person's key could stand under two names unseen.
    if len(raw) != _BYTES or base64.b64encode(raw).decode() != body:
        raise ValueError(message)
    return raw
