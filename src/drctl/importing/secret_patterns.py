"""
How secrets are written in scripts: a table of patterns, and what only looks like one.

The value of a pattern is its last group. A tool's flag is looked for only inside that tool's
command: ``-p`` is a password for ``sshpass`` and a port for ``ssh``.
"""

import re
from typing import NamedTuple

from drctl.runbook.literals import PLACE

MASK = "\u2022"
"""A bullet: no shell, YAML or JSON gives it a meaning."""
PERHAPS = "perhaps a secret"
"""Masked, and no finding."""
LITERAL = "a literal secret"
_PASSWORD = "a password"  # noqa: S105
BY_PLACE = {LITERAL, _PASSWORD, PERHAPS}
"""Kinds that are known by where they stand: a placeholder may stand there too."""


class Pattern(NamedTuple):
    """A way to write a secret."""

    value: re.Pattern[str]
    kind: str
    inside: re.Pattern[str] | None = None
    """The command, or the group ``inside`` of it, in which the value is looked for."""
    only_with: re.Pattern[str] | None = None
    """What the command has to hold besides."""


_REFERENCE = (
    r"(?:(?:env|fileb?|aws-sm|k8s|op|arn|vault|ssm|gs|s3):|<|\{\{"
    r"|@(?:-|~?\.{0,2}/|\w+\.\w{2,4}\b))"
)
_BARE = (
    rf"(?P<bare>(?!\$|{_REFERENCE})(?![\w.]+[(\[])"
    rf"(?:\\[^\n]|[^\s\"'`$;&|,{{}}()\[\]<>\\{MASK}])+)"
)
# A hash of a password begins with a dollar too: $6$salt$…
_SINGLE = rf"'(?P<single>(?!\s|\"?\$(?!\w{{1,8}}\$)|{_REFERENCE})[^'\n{MASK}]+)'"
_DOUBLE = rf"\"(?P<double>(?!\s|{_REFERENCE})(?:[^\"\\$`\n{MASK}]|\\[^\n])+)\""
_ESCAPED = rf"\\\"(?P<escaped>(?!\s|\$|{_REFERENCE})[^\"\\$\n{MASK}]+)\\\""
_PART = rf"[\"'](?P<part>(?!{_REFERENCE})[^\s\"'\\$`{MASK}]+)(?=[$`])"
_VALUE = f"(?:{_SINGLE}|{_DOUBLE}|{_ESCAPED}|{_PART}|{_BARE})"

_KEY = r"(?:api|access|secret|private|auth|account|encryption|signing|master|shared|storage)"
_WORD = (
    rf"(?:passwords?|passwd|passphrase|passcode|secrets?|token|credentials?|pwd"
    rf"|(?:(?<![a-z0-9])|(?-i:(?<=[a-z])(?=P)))pass"
    rf"|{_KEY}[_-]?(?:access[_-]?)?key)"
)
_ABOUT = (
    r"(?:files?|paths?|dir|names?|ids?|arn|ur[li]|refs?|len|length|size|policy|ttl|exp\w*|age|type"
    r"|env|var|stdin|store|manager|version\w*|count|min\w*|max\w*|format|rotation|class|provider"
    r"|backend|host|port|endpoint|field|label|prefix|mount|namespace|required|enabled|encryption"
    r"|auth\w*|prompt|attempts|retries|seconds|period|duration|accessor|issuer|scopes?|bucket"
    r"|found|missing|valid|is|set|ok|script|command|cmd|algorithm|hash\w*)"
)
"""``TOKEN_TTL`` and ``PASSWORD_FILE`` are about a secret, and hold none."""
_STEM = rf"[\w.-]{{0,60}}?(?<!existing)(?<!existing[_-])(?<!pull)(?<!pull[_-]){_WORD}\d{{0,3}}"
_NAME = rf"(?<![\w$.-])(?<!\$\{{){_STEM}(?:[_-](?!{_ABOUT}(?![a-z]))[a-z0-9]+){{0,3}}(?![\w-])"
_SAYS = r"\b(?:echo|printf)[ \t]+(?:-\w+[ \t]+)*(?:[\"']?%s(?:\\n)?[\"']?[ \t]+)?"
_SINK = (
    r"(?:--(?:password|token)-stdin|--stdin\b|--with-token|--passphrase-fd|\bchpasswd\b"
    r"|\bsudo[ \t]+(?:-\w+[ \t]+)*-S|\bsecrets?[ \t]+(?:create|set|put|add|versions[ \t]+add)"
    r"|\bcreate[ \t]+secret\b|\bcryptsetup\b|\bkinit\b)"
)
_END = r"[ \t]*(?:[\"'#].*)?$"


def _anywhere(value: str, kind: str, flags: re.RegexFlag = re.IGNORECASE) -> Pattern:
    return Pattern(re.compile(value, flags | re.MULTILINE), kind)


_QUOTES = r"\"(?:[^\"\\\n]|\\[^\n])*\"|'[^'\n]*'"


def _of(program: str, value: str, *, only_with: str = "") -> Pattern:
    """A flag or a word of a tool; its command ends where the shell says that it does."""
    command = rf"(?<![\w.-]){program}(?=\s)(?:{_QUOTES}|\\[^\n]|[^\n;|&])*"
    needs = re.compile(only_with, re.IGNORECASE) if only_with else None
    return Pattern(re.compile(value), _PASSWORD, re.compile(command), needs)


_BY_TEXT = (
    _anywhere(
        rf"\b[a-z][a-z0-9+.-]{{0,40}}://[^\s/:@\"']*:(?P<bare>[^\s/@\"'${MASK}]+)@",
        "a password in a URL",
    ),
    _anywhere(r"\bhttps?://(?P<bare>[\w.-]{16,})@", "a token in a URL"),
    _anywhere(
        rf"\bAuthorization:\s*(?:OAuth|Bearer|Basic|Token|ApiKey)\s+(?P<bare>[^\s\"'${MASK}]+)",
        "a token in a header",
    ),
    _anywhere(r"\bBearer\s+(?P<bare>[\w.~+/=-]{8,})", "a bearer token"),
    _anywhere(rf"hooks\.slack\.com/services/(?P<bare>[^\s\"'${MASK}]+)", "a Slack webhook"),
    _anywhere(
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----\s*(?P<bare>.*?)(?=-----END|\Z)",
        "a private key",
        re.DOTALL,
    ),
    _anywhere(
        r"\b(?P<bare>(?:[sr]k_live_|sk-|AIza|npm_|pypi-|hvs\.|dop_v1_|SG\.|ya29\.)[\w.-]{16,})",
        "a token",
        re.NOFLAG,
    ),
    _anywhere(rf"[?&](?:sig|X-(?:Amz|Goog)-Signature)={_BARE}", "a signature in a URL"),
)
_BY_NAME = (
    _anywhere(
        rf"^[ \t]*(?:(?:export|local|readonly)[ \t]+)?{_NAME}\+?="
        rf"(?P<bare>(?!{_REFERENCE})[^\s\"'`$;&|<>(){MASK}]+)",
        LITERAL,
    ),
    _anywhere(rf"{_NAME}(?:\\?[\"'])?\]?\s{{0,9}}\+?=\s{{0,9}}{_SINGLE}", LITERAL),
    _anywhere(rf"{_NAME}(?:\\?[\"'])?\]?\s{{0,9}}\+?=\s{{0,9}}{_DOUBLE}", LITERAL),
    _anywhere(rf"{_NAME}\+?={_VALUE}", LITERAL),
    _anywhere(rf"{_NAME}(?:\\?[\"'])?:\s{{0,9}}(?:{_SINGLE}|{_DOUBLE}|{_ESCAPED})", LITERAL),
    _anywhere(rf"{_NAME}\\?[\"']\s{{0,9}}:\s{{0,9}}{_VALUE}", LITERAL),
    _anywhere(rf"(?<![\w-])--?{_STEM}[ =][ \t]*(?!-){_VALUE}", LITERAL),
    _anywhere(rf"(?<![\w-])--?\w{{1,20}}(?<!by)pass[ =][ \t]*(?!-){_VALUE}", LITERAL),
    _anywhere(rf"\$\{{{_STEM}:?[-=](?P<bare>(?!-)[^\s}}$\"'{MASK}]+)", LITERAL),
    _anywhere(rf"{_NAME}=[\"']?(?:\$\(|`)\s*{_SAYS}{_VALUE}", LITERAL),
    _anywhere(rf"\bread[ \t]+(?:-\w+[ \t]+)*{_NAME}[ \t]*<<<[ \t]*{_VALUE}", LITERAL),
    _anywhere(rf"\bset(?:env)?[ \t]+(?:--?\w+[ \t]+)*\S{{0,60}}?{_STEM}[ \t]+{_VALUE}", LITERAL),
    # YAML and INI: the value is the rest of the line.
    _anywhere(
        rf"^[ \t]*(?:-[ \t]+)?{_NAME}(?::[ \t]+|[ \t]+=[ \t]*|[ \t]*=[ \t]+)"
        rf"(?P<bare>(?![|>&*!$#=]|{_REFERENCE}|[\w.]+[(\[])[^\s\"'{MASK}][^\n\"'${MASK}#]*?)"
        r"[ \t]*(?:#.*)?$",
        LITERAL,
    ),
    _anywhere(rf"[{{,][ \t]*{_NAME}:[ \t]+{_BARE}", LITERAL),
    # A header, a comment, a text: one word with a digit in it, or one that ends what is said.
    _anywhere(rf"{_NAME}(?:[ \t]*:|[ \t]+=)[ \t]+(?=[^\s\"']*\d){_BARE}", LITERAL),
    _anywhere(
        rf"(?<![\w$.-])[\w.-]{{0,60}}?pass(?:word|wd|phrase):(?=[^\s\"']*\d){_BARE}", LITERAL
    ),
    _anywhere(rf"[\"'#][^\"'\n]{{0,60}}?{_NAME}:[ \t]+{_BARE}{_END}", PERHAPS),
    _anywhere(rf"{_NAME}[ \t]+is:?[ \t]+(?=[^\s\"']*\d){_BARE}", PERHAPS),
    _anywhere(rf"<{_NAME}>(?P<bare>[^<>\n${MASK}]+)</", LITERAL),
)
_BY_TOOL = (
    _anywhere(rf"\b(?:PASSWORD|IDENTIFIED[ \t]+(?:WITH[ \t]+\S+[ \t]+)?(?:BY|AS))"
              rf"[ \t]{{0,9}}\(?[ \t]{{0,9}}E?"
              rf"(?:\\?'(?:\\'')?(?P<sql>(?!\"?\$)[^'\n{MASK}\\]+)\\?')", _PASSWORD),
    _anywhere(rf"\bIDENTIFIED[ \t]+BY[ \t]+(?!PASSWORD\b){_VALUE}", _PASSWORD),
    _anywhere(rf"{_SAYS}{_VALUE}[ \t]*\|[^\n]{{0,200}}?{_SINK}", _PASSWORD, re.NOFLAG),
    _anywhere(rf"{_SINK}[^\n|]{{0,200}}?<<<[ \t]*{_VALUE}", _PASSWORD, re.NOFLAG),
    _anywhere(rf"{_SINK}[^\n|]{{0,200}}?<<-?[ \t]*[\"']?\w+[\"']?[ \t]*\n(?P<bare>[^\n${MASK}]+)$",
              _PASSWORD, re.NOFLAG),
    _anywhere(rf"\s(?:-u|--(?:proxy-)?user|--auth)[ =][\"']?(?!\d+:\d+\b)[^\s:\"'=]+:"
              rf"(?P<bare>[^\s\"'${MASK}]+)", _PASSWORD, re.NOFLAG),
    _anywhere(rf"\bauth=\([ \t]*[\"'][^\"'\n]*[\"'],[ \t]*{_VALUE}", _PASSWORD),
    _anywhere(rf"(?<![\w:])[\w.*-]+:(?:\d{{4,5}}|\*):[\w*-]+:[\w*-]+:{_BARE}", _PASSWORD),
    _anywhere(rf"\blogin[ \t]+\S+\s+password[ \t]+{_VALUE}", _PASSWORD),
    _anywhere(rf"\b(?:requirepass|masterauth)[ \t]+{_VALUE}", _PASSWORD),
    _of(r"(?:mysql\w*|mariadb[\w-]*)", rf"\s-p(?=\S){_VALUE}"),
    _of(r"mysqladmin", rf"\spassword[ \t]+{_VALUE}"),
    _of(r"(?:sshpass|7za?)", rf"\s-p[ \t]?{_VALUE}"),
    _of(r"(?:redis|valkey)-cli", rf"\s(?:-a|--pass|(?i:auth))[ \t]+{_VALUE}"),
    _of(r"openssl", rf"\s-[kK][ \t]+{_VALUE}"),
    _of(r"openssl", rf"\bpass:{_BARE}"),
    _of(r"(?:docker|podman|nerdctl|buildah|skopeo|crane|oras|oc|az|cf|helm|argocd|twine)",
        rf"\s-p[ \t]+{_VALUE}", only_with=r"\blogin\b|\bupload\b"),
    _of(r"mongo\w*", rf"\s-p[ \t]*{_VALUE}"),
    _of(r"(?:sqlcmd|bcp|zip|unzip|ipmitool)", rf"\s-P[ \t]*{_VALUE}"),
    _of(r"ldap\w+", rf"\s-[ws][ \t]+(?!(?:sub|one|base|children)\b){_VALUE}", only_with=r"\s-w\s"),
    _of(r"snmp\w+", rf"\s-[AX][ \t]+{_VALUE}"),
    _of(r"(?:usermod|useradd)", rf"\s-p[ \t]+{_VALUE}"),
    _of(r"smbclient", rf"\s-U[ \t]*[\"']?[^\s%\"']+%{_BARE}"),
    _of(r"lftp", rf"\s-u[ \t]+[\"']?[^\s,\"']+,{_BARE}"),
    _of(r"htpasswd", rf"htpasswd[ \t]+(?:-\w+[ \t]+)+(?:[^\s-]\S*[ \t]+){{1,2}}{_VALUE}",
        only_with=r"\s-\w*b"),
    _of(r"rabbitmqctl", rf"(?:add_user|change_password)[ \t]+\S+[ \t]+{_VALUE}"),
    _of(r"vault[ \t]+(?:kv[ \t]+(?:put|patch)|write)", rf"\s[\w.-]+={_VALUE}",
        only_with=r"\bkv\b|\ssecrets?/|/data/"),
    _of(r"vault[ \t]+login", rf"login[ \t]+(?:-\S+[ \t]+)*(?:token=)?{_VALUE}"),
    _of(r"aws(?:[ \t]+--\S+[ \t]+\S+){0,4}[ \t]+ssm[ \t]+put-parameter",
        rf"\s--value[ =]{_VALUE}", only_with=r"SecureString|password|secret|token"),
    _of(r"aws", rf"\s--secret-(?:string|binary)[ =]{_VALUE}"),
    _of(r"az[ \t]+keyvault[ \t]+secret[ \t]+set", rf"\s--value[ =]{_VALUE}"),
    _of(r"[\w-]+[ \t]+secrets?[ \t:]set", rf"\s(?:(?:--body|-b)[ =]|[A-Z][A-Z0-9_]*=){_VALUE}"),
    _of(r"(?:kubectl|oc)", rf"\s--from-literal[ =][\"']?[\w.-]+={_VALUE}",
        only_with=r"\bcreate[ \t]+secret\b"),
    _of(r"(?:consul[ \t]+kv|etcdctl)[ \t]+put", rf"\sput[ \t]+(?i:\S*?{_STEM})\S*[ \t]+{_VALUE}"),
)  # fmt: skip
_IN_MANIFESTS = Pattern(
    re.compile(rf"^[ \t]+[\w.-]+:[ \t]+(?![|>]){_VALUE}", re.MULTILINE),
    LITERAL,
    re.compile(
        r"^[ \t]*kind:[ \t]*Secret[ \t]*\n(?:(?!---|[ \t]*kind:|[ \t]*(?:stringData|data):)"
        r"[^\n]*\n){0,40}[ \t]*(?:stringData|data):[ \t]*\n(?P<inside>(?:[ \t]+[^\n]*\n?)+)",
        re.MULTILINE,
    ),
)
PATTERNS = (*_BY_TEXT, *_BY_TOOL, _IN_MANIFESTS, *_BY_NAME)

_NO_SECRET = re.compile(
    rf"(?i:true|false|yes|no|on|off|null|none|nil|empty|required|optional|string|str|unset)"
    rf"|\d{{1,3}}|[xX*.\u2026_?-]+|{PLACE}.*|[%:]\(?\w+\)?s?|\{{\{{.*"
    rf"|(?:YOUR_?)?[A-Z_]*(?:PASSWORD|PASSWD|TOKEN|SECRET|KEY)(?:_HERE)?"
    rf"|(?:os|sys|args|self|config|settings|process|secrets|var|local|data|module)\.[\w.]+"
    rf"|(?:id|type|src|source|name)=.*"
)
_DOUBTFUL = re.compile(
    r"[a-z][a-z0-9._-]*(?:/[a-z][a-z0-9._-]*)+|[A-Za-z]+,?(?:\s+[A-Za-z']+[.,]?)+"
)
"""The name of a secret in a store; a sentence."""


def is_no_secret(value: str) -> bool:
    """A switch, a counter, a placeholder, the name of a file: nothing that opens anything."""
    return bool(_NO_SECRET.fullmatch(value.rstrip("\\")))


def is_doubtful(value: str) -> bool:
    """It may name a secret, or speak of one."""
    return bool(_DOUBTFUL.fullmatch(value))
