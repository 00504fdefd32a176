"""
What AWS and its SDK can say, in the words of `drctl.actions.errors`. The one table.

Two questions decide: was the request sent at all, and if it was, did an answer come back? A refusal
that was read (4xx) means that nothing happened. Silence, or a 5xx, after a mutation was sent means
that nobody knows.
"""

import ssl
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)

CODES: tuple[tuple[str, type[ActionError]], ...] = (
    # Throttling: nothing happened, whatever the HTTP status.
    ("Throttl*", Throttled),
    ("RequestThrottl*", Throttled),
    ("RequestLimitExceeded", Throttled),
    ("APICallRateForCustomerExceeded", Throttled),
    ("TooManyRequests*", Throttled),
    ("BandwidthLimitExceeded", Throttled),
    ("SlowDown", Throttled),
    ("EC2ThrottledException", Throttled),
    # Who we are.
    ("AccessDenied*", AuthRejected),
    ("UnauthorizedOperation", AuthRejected),
    ("NotAuthorized*", AuthRejected),
    ("InvalidClientTokenId", AuthRejected),
    ("UnrecognizedClient*", AuthRejected),
    ("IncompleteSignature*", AuthRejected),
    ("MissingAuthenticationToken*", AuthRejected),
    ("ExpiredToken*", AuthRejected),
    ("RequestExpired", AuthRejected),
    ("RequestTimeTooSkewed", AuthRejected),
    ("InvalidAccessKeyId", AuthRejected),
    ("InvalidToken", AuthRejected),
    ("AuthFailure", AuthRejected),
    ("SignatureDoesNotMatch", AuthRejected),
    ("InvalidSignature*", AuthRejected),
    ("OptInRequired", AuthRejected),
    ("AuthorizationHeaderMalformed", AuthRejected),
    ("403", AuthRejected),  # S3 answers HEAD without a body, so the status is the code
    # Where it is.
    ("*NotFound*", NotFound),
    ("NoSuch*", NotFound),
    ("404", NotFound),
    # What state it is in.
    ("*InUse*", Conflict),
    ("Conflict*", Conflict),
    ("ConcurrentUpdate*", Conflict),
    ("ResourceContention*", Conflict),
    ("ScalingActivityInProgress*", Conflict),
    ("ServiceNotActive*", Conflict),
    ("EndpointTemporarilyUnavailable*", Unavailable),
    ("Invalid*State*", Conflict),
    ("PriorRequestNotComplete", Conflict),
    ("*AlreadyExists*", Conflict),
    ("OperationAborted", Conflict),
    ("ConditionalRequestConflict", Conflict),
    ("PreconditionFailed", Conflict),
    ("Insufficient*Capacity*", Conflict),
    ("Duplicate*", Conflict),
    ("ResourceExists*", Conflict),
    ("OperationNotPermitted", Conflict),
    ("TrustStoreNotReady", Conflict),
    # What we asked.
    ("Invalid*", Rejected),
    ("Validation*", Rejected),
    ("Malformed*", Rejected),
    ("Missing*", Rejected),
    ("*NotSupported*", Rejected),
    ("*NotAvailable*", Rejected),
    ("*NotAccessible*", Rejected),
    ("*QuotaExceeded*", Rejected),
    ("*Violation*", Rejected),
    ("*DependencyFailure*", Rejected),
    ("TooMany*", Rejected),
    ("*AssociationLimit", Rejected),
    ("LimitExceeded*", Rejected),
    ("ServiceLimitExceeded*", Rejected),
    ("IllegalArgument*", Rejected),
    ("ClientException", Rejected),
    ("Platform*", Rejected),
    ("Incompatible*", Rejected),
    ("Unsupported*", Rejected),
    ("DecryptionFailure", Rejected),
    ("EncryptionFailure", Rejected),
    ("PolicyEvaluation*", Unavailable),
    ("HealthUnavailable", Unavailable),
    ("InternalService*", Unavailable),
    ("InternalServer*", Unavailable),
    ("ServiceException", Unavailable),
    ("ServerException", Unavailable),
    ("ObjectNotInActiveTier*", Conflict),
    ("EncryptionTypeMismatch", Rejected),
    ("MethodNotAllowed", Rejected),
    ("PermanentRedirect", Rejected),
    ("400", Rejected),
)
"""First match wins. Codes with a 5xx status other than throttling never get this far."""

_UNSENT = (Unavailable, Unavailable)
_UNANSWERED = (Unavailable, OutcomeUnknown)
_WHO = (AuthRejected, AuthRejected)
_WHAT = (Rejected, Rejected)

EXCEPTIONS: dict[str, tuple[type[ActionError], type[ActionError]]] = {
    # Never left this machine.
    "EndpointConnectionError": _UNSENT,
    "ConnectTimeoutError": _UNSENT,
    "ProxyConnectionError": _UNSENT,
    "CapacityNotAvailableError": _UNSENT,
    # May have left; no whole answer was read. A TLS error can also come after the request.
    "HTTPClientError": _UNANSWERED,
    "ConnectionError": _UNANSWERED,
    "SSLError": _UNANSWERED,
    "ConnectionClosedError": _UNANSWERED,
    "ReadTimeoutError": _UNANSWERED,
    "ResponseStreamingError": _UNANSWERED,
    "IncompleteReadError": _UNANSWERED,
    "ResponseParserError": _UNANSWERED,
    "ChecksumError": _UNANSWERED,
    "FlexibleChecksumError": _UNANSWERED,
    "AwsChunkedWrapperError": _UNANSWERED,
    "EventStreamError": _UNANSWERED,
    "NoInitialResponseError": _UNANSWERED,
    "ParserError": _UNANSWERED,
    "WaiterError": _UNANSWERED,
    "PaginationError": _UNANSWERED,
    # Credentials.
    "NoCredentialsError": _WHO,
    "NoAuthTokenError": _WHO,
    "TokenRetrievalError": _WHO,
    "UnknownTokenProviderError": _WHO,
    "PartialCredentialsError": _WHO,
    "CredentialRetrievalError": _WHO,
    "UnknownCredentialError": _WHO,
    "RefreshWithMFAUnsupportedError": _WHO,
    "MetadataRetrievalError": _WHO,
    "SSOError": _WHO,
    "LoginError": _WHO,
    # Refused by the SDK before anything was sent.
    "DataNotFoundError": _WHAT,
    "UnknownRegionError": _WHAT,
    "ApiVersionNotFoundError": _WHAT,
    "InvalidIMDSEndpointError": _WHAT,
    "InvalidIMDSEndpointModeError": _WHAT,
    "UnknownSignatureVersionError": _WHAT,
    "UnsupportedSignatureVersionError": _WHAT,
    "ServiceNotInRegionError": _WHAT,
    "BaseEndpointResolverError": _WHAT,
    "ProfileNotFound": _WHAT,
    "ConfigParseError": _WHAT,
    "ConfigNotFound": _WHAT,
    "MissingParametersError": _WHAT,
    "ValidationError": _WHAT,
    "ParamValidationError": _WHAT,
    "UnknownServiceStyle": _WHAT,
    "OperationNotPageableError": _WHAT,
    "UnseekableStreamError": _WHAT,
    "InvalidExpressionError": _WHAT,
    "WaiterConfigError": _WHAT,
    "UnknownClientMethodError": _WHAT,
    "InvalidDNSNameError": _WHAT,
    "InvalidS3AddressingStyleError": _WHAT,
    "UnsupportedS3ArnError": _WHAT,
    "UnsupportedS3ControlArnError": _WHAT,
    "InvalidHostLabelError": _WHAT,
    "UnsupportedOutpostResourceError": _WHAT,
    "UnsupportedS3ConfigurationError": _WHAT,
    "UnsupportedS3AccesspointConfigurationError": _WHAT,
    "UnsupportedS3ControlConfigurationError": _WHAT,
    "InvalidEndpointDiscoveryConfigurationError": _WHAT,
    "InvalidRetryConfigurationError": _WHAT,
    "InvalidS3UsEast1RegionalEndpointConfigError": _WHAT,
    "InvalidSTSRegionalEndpointsConfigError": _WHAT,
    "StubResponseError": _WHAT,
    "InvalidConfigError": _WHAT,
    "MD5UnavailableError": _WHAT,
    "MissingDependencyException": _WHAT,
    "UndefinedModelAttributeError": _WHAT,
    "InvalidProxiesConfigError": _WHAT,
    "InvalidDefaultsMode": _WHAT,
    "InvalidEndpointConfigurationError": _WHAT,
    "EndpointProviderError": _WHAT,
    "InvalidChecksumConfigError": _WHAT,
    "UnsupportedServiceProtocolsError": _WHAT,
}
"""SDK exception by name, nearest ancestor first: (meaning for a read, meaning for a mutation)."""

_CLIENT_TIMEOUTS = {"RequestTimeout", "RequestTimeoutException"}
"""4xx by number, silence by meaning: the other side gave up while the request was under way."""
_NOT_TAKEN = {"EndpointTemporarilyUnavailableException"}
"""5xx by number, a refusal by meaning: this door is shut, and nothing went through it."""
_SERVER_ERROR = 500


def word_of_code(code: str) -> type[ActionError] | None:
    """The word for an AWS error code; ``None`` when the table does not know it."""
    return next((word for pattern, word in CODES if fnmatchcase(code, pattern)), None)


def words_of_exception(
    kind: type[BaseException],
) -> tuple[type[ActionError], type[ActionError]] | None:
    """The words for an SDK exception, for a read or a mutation; ``None`` when it is not known."""
    return next(
        (EXCEPTIONS[base.__name__] for base in kind.__mro__ if base.__name__ in EXCEPTIONS), None
    )


def translate(error: Exception, what: str, *, mutates: bool) -> ActionError:
    """
    Turns an SDK's exception into ours.

    Args:
        what: The call, as ``rds:PromoteReadReplica in us-west-2``.
        mutates: Whether the call may have changed something.
    """
    response: dict[str, Any] | None = getattr(error, "response", None)
    if response is None or "Error" not in response:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            # Decided in the handshake, before the request.
            return AuthRejected(f"{what}: the certificate of the endpoint is not trusted")
        words = words_of_exception(type(error)) or _UNANSWERED
        return words[mutates](f"{what}: {error}")
    code = str(response["Error"].get("Code", ""))
    meta = response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    message = f"{what}: {code}: {response['Error'].get('Message', '')}"
    word = word_of_code(code)
    is_refusal = word is Throttled or code in _NOT_TAKEN
    if not is_refusal and (status >= _SERVER_ERROR or code in _CLIENT_TIMEOUTS):
        word = _UNANSWERED[mutates]
    # An answered 4xx that nobody listed is still a refusal: nothing happened.
    return (word or Rejected)(message, request_id=meta.get("RequestId"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
