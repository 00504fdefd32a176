"""Secrets, read at the last moment, with an adapter's error when they cannot be."""

from drctl.actions.contract import Context
from drctl.actions.errors import AuthRejected
from drctl.kernel.errors import CredentialsError
from drctl.kernel.secret import SecretRef


def reveal(ctx: Context, ref: SecretRef) -> str:
    """
    Returns the value behind *ref*. Call it in the argument of the call that needs it.

    Raises:
        AuthRejected: The reference leads nowhere; the message names the reference, never a value.
    """
    try:
        return ctx.secrets.resolve(ref).reveal()
    except CredentialsError as error:
        raise AuthRejected(str(error)) from None
