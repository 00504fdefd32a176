"""
Expressions: CEL, checked when a runbook is read, pure when it runs.

Problem. A runbook computes: conditions, texts, values handed from one step to a later one. A
mistake in such a computation must be found at validation, not at minute nine of an outage; and a
value that is *not known* (its step was skipped, did not run, could not say) must never pass for
false, for zero or for empty.

Invariant. `Scope.compile` either gives an `Expression` that refers only to names of the scope and
has a known type, or raises `ExpressionError` with the place of every fault. `evaluate` gives a
value of that type, or `UNKNOWN`, or raises `ExpressionError`; nothing else ever escapes, whatever
text or values came in.

How. The library (Google's CEL in C++) is asked to check types, but it is told of each value under
its whole dotted name, ``steps.promote.outputs.endpoint``, and only of the names that the scope
has; a reference to anything else cannot compile. We look at the dotted words of the text ourselves
first, for two reasons: to say *why* a name is not there (misspelt, or the output of a step that is
no ancestor), and to declare to the library only the few names that the text mentions, so that a
thousand steps do not mean a million declarations. Should that look miss a name, the library
refuses it: the error is then less helpful, not absent.

Unknown. A value that is missing or ``None`` is not handed to the library at all. It then answers
with an error of the kind UNKNOWN unless the result does not depend on that value: ``false && x``
is false whatever x is. This is Kleene's three-valued logic, and we take it as it is: an error of
that kind becomes `UNKNOWN`, any other becomes `ExpressionError`. `UNKNOWN` has no truth value;
``if`` over it raises.

Traps of cel-expr-python 0.1.3, each with a test: errors of evaluation come back as *values* of
type ERROR; ``has()`` on a dotted name gives the value, so ``has`` is refused; a string is cut at a
NUL and a lone surrogate raises from C++, so neither is let in; tuples and nested durations are
refused, so values are converted first; numbers do not mix (``lag_s < 5`` against a double), so the
message says how to write it.

Not promised: speed of a regular expression or of a comprehension beyond the library's own budgets.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook.faults import ExpressionError, Fault, faults_in
from drctl.runbook.values import UNKNOWN, CelType, find, for_people, handed_in, handed_out

ROOTS = frozenset({"inputs", "steps", "outputs", "rto", "rpo", "run", "env", "each"})
"""First words of everything that a runbook can refer to."""
MAX_LENGTH = 4096
"""Longer than any expression a person reads; the library's parser takes 100,000."""
MAX_MARKS = 100
"""More ``${{ }}`` than any text has; each is compiled, and each fault searched for."""

_NUMBERED = "drctl_name_"
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip
_LITERAL = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|//[^\n]*",
    re.DOTALL,
)
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*", re.ASCII)
_INSIDE = re.compile("[{}\"']")
"""Without one of these the first ``}}`` closes an expression."""
_HAS = re.compile(r"\bhas\s*\(")
_COMPUTED = set(")]}\"'")
"""What may end an operand; a dot after anything else starts an absolute name."""
_RESULTS = re.compile(r"(string|int|double|bool|duration|timestamp|dyn)|list<.*>|map<.*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled expression. Made by `Scope.compile` only."""

    text: str
    type: CelType
    names: Mapping[str, CelType]
    """What it refers to, by whole dotted name, with types."""
    wanted: CelType | None
    """The type that its place asks for."""

    @property
    def program(self) -> Any:
        """The library's; nobody else touches it. Made when it is first evaluated."""
        return _compiled(self.text, frozenset(self.names.items()))[0]


class Scope:
    """
    The names that an expression at some place may refer to, with their types.

    Args:
        names: Whole dotted names to types. Looked into, never copied: it may be large or computed.
        why_not: Says why a dotted name that is not in the scope is not, when there is more to say
            than "did you mean": gets the name, gives a fault's code and words.
    """

    def __init__(
        self,
        names: Mapping[str, CelType],
        *,
        why_not: Callable[[str], tuple[str, str] | None] = lambda _name: None,
    ) -> None:
        self.names = names
        self._why_not = why_not

    def compile(self, text: str, *, wanted: CelType | None = None) -> Expression:
        """
        Checks *text* and makes it ready.

        Args:
            text: The expression, without ``${{ }}``.
            wanted: The type that the result must have; ``dyn`` results pass and are checked when
                evaluated.

        Raises:
            ExpressionError: It is not CEL, refers to a name outside the scope, or has the wrong
                type.
        """
        if len(text) > MAX_LENGTH:
            what = f"an expression of {len(text)} characters; {MAX_LENGTH} are allowed"
            raise ExpressionError(Fault(code="DR1040", what=what))
        names, alike, faults = self._references(text)
        if faults:
            raise ExpressionError(*faults)
        found = _type(text, names, alike)
        if not _RESULTS.fullmatch(found):
            raise ExpressionError(
                Fault(code="DR1043", what=f"an expression cannot give a value of type {found}")
            )
        if wanted is not None and found not in {wanted, "dyn"}:
            what = f"this must be {wanted}, and is {found}"
            raise ExpressionError(Fault(code="DR1043", what=what, fragment=text))
        return Expression(text=text, type=found, names=names, wanted=wanted)

    def template(self, text: str) -> "Template":
        """
        Reads text in which ``${{ }}`` marks expressions.

        Raises:
            ExpressionError: As `compile`, for all of them at once; offsets count from the start of
                *text*.
        """
        parts: list[str | Expression] = []
        faults: list[Fault] = []
        end = 0
        for start, stop in _marks(text, faults):
            parts.append(text[end:start])
            source = text[start + 3 : stop - 2]
            inner = source.strip()
            shift = start + 3 + source.find(inner)
            try:
                parts.append(self.compile(inner))
            except ExpressionError as error:
                faults += [_moved(fault, shift, inner) for fault in error.faults]
            end = stop
        parts.append(text[end:])
        if faults:
            raise ExpressionError(*faults)
        return Template(text=text, parts=tuple(part for part in parts if part != ""))

    def _references(self, text: str) -> tuple[dict[str, CelType], str, list[Fault]]:
        """What *text* refers to, the same text with these names numbered, and what is wrong."""
        numbers: dict[str, str] = {}
        alike, end = list[str](), 0
        names: dict[str, CelType] = {}
        faults: list[Fault] = []
        has, chains = _chains(text)
        if has is not None:
            what = "has() is not accepted: a value that is not there is unknown, not false"
            faults.append(Fault(code="DR1040", what=what, offset=has, fragment="has"))
        for start, fragment, prefixes in chains:
            name = next((n for n in prefixes if n in self.names), None)
            if name is not None:
                names[name] = self.names[name]
                number = numbers.setdefault(name, f"{_NUMBERED}{len(numbers)}")
                if " " not in fragment and fragment.startswith(name):
                    alike += [text[end:start], number]
                    end = start + len(name)
            else:
                faults.append(self._missing(prefixes[0], start, fragment))
        return names, "".join((*alike, text[end:])), faults

    def _missing(self, name: str, offset: int, fragment: str) -> Fault:
        code, what = self._why_not(name) or ("DR1041", "")
        if not what:
            near = did_you_mean(name, self.names)
            what = f'nothing here is called "{name}"{near}'
        return Fault(code=code, what=what, offset=offset, fragment=fragment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Text with expressions in it. Made by `Scope.template` only."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def only(self) -> Expression | None:
        """The expression, when the text is exactly one; its value then keeps its type."""
        match self.parts:
            case (Expression() as expression,):
                return expression
        return None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All of them, in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def render(self, values: Mapping[str, Any], *, unknown: str | None = None) -> Any:
        """
        Fills in the expressions: the typed value when the text is exactly one of them, text
        otherwise.

        Args:
            values: As for `evaluate`.
            unknown: What to write where a value is not known; ``None``: the result is then
                `UNKNOWN`.

        Raises:
            ExpressionError: An expression has no value.
        """
        shown: list[str] = []
        for part in self.parts:
            value = evaluate(part, values) if isinstance(part, Expression) else part
            if value is UNKNOWN:
                if unknown is None:
                    return UNKNOWN
                value = unknown
            if self.only:
                return value
            shown.append(for_people(value))
        return "".join(shown)


def render(
    text: str, scope: Scope, values: Mapping[str, Any], *, unknown: str | None = None
) -> Any:
    """
    Compiles *text* in *scope* and fills it in; see `Template.render`.

    Raises:
        ExpressionError: It does not compile, or an expression in it has no value.
    """
    return scope.template(text).render(values, unknown=unknown)


def evaluate(expression: Expression, values: Mapping[str, Any]) -> Any:
    """
    Computes the value.

    Args:
        expression: Compiled.
        values: By whole dotted name, or nested (``{"steps": {"promote": {"outputs": …}}}``), or
            both. Durations and timestamps may be text as in JSON. Missing or ``None``: not known.

    Returns:
        ``str``, ``int``, ``float``, ``bool``, `timedelta`, aware `datetime`, ``list``, ``dict``;
        or `UNKNOWN`.

    Raises:
        ExpressionError: Division by zero, no such key, a value of the wrong type, and the like.
    """
    data: dict[str, Any] = {}
    for name, kind in expression.names.items():
        value = find(name, values)
        if value is not None and value is not UNKNOWN:
            try:
                data[name] = handed_in(value, kind)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise _no_value(expression, f"{name}: {error}") from error
    try:
        answer = expression.program.eval(data=data)
        is_error, value = str(answer.type()) == "ERROR", answer.plain_value()
        if not is_error:
            value = handed_out(value)
    except Exception as error:
        raise _no_value(expression, str(error)) from error
    if is_error and not str(value).startswith("UNKNOWN:"):
        raise _no_value(expression, str(value))
    if is_error or value is None:
        return UNKNOWN
    if expression.wanted == "bool" and not isinstance(value, bool):
        raise _no_value(expression, f"it must be true or false, and is {for_people(value)}")
    return value


def has_expression(text: str) -> bool:
    """True when ``${{`` is in the text."""
    return "${{" in text


def _blank(literal: re.Match[str]) -> str:
    """As long as the literal, so that offsets stay; its quotes stay as well."""
    quote = "" if literal[0].startswith("//") else literal[0][-1]
    return quote + " " * (len(literal[0]) - 2 * len(quote)) + quote


@lru_cache(maxsize=1024)
def _chains(text: str) -> tuple[int | None, tuple[tuple[int, str, tuple[str, ...]], ...]]:
    """
    Where ``has()`` stands in *text*, and every dotted word of it that begins as a name of ours
    does: its place, as it is written, and what of it may be a name, the longest first.
    """
    has_literal = '"' in text or "'" in text or "//" in text
    bare = _LITERAL.sub(_blank, text) if has_literal else text
    has = _HAS.search(bare) if "has" in bare else None
    found = []
    for chain in _CHAIN.finditer(bare):
        before = bare[: chain.start()].rstrip()
        if before.endswith(".") and before[:-1].rstrip()[-1:] in _COMPUTED:
            continue  # a field of something computed
        words = [word.strip() for word in chain[0].split(".")]
        if words[0] not in ROOTS:
            continue  # a function, a macro's own variable, or wrong; the library knows
        if bare[chain.end() :].lstrip().startswith("(") and len(words) > 1:
            words.pop()  # a method
        prefixes = tuple(".".join(words[:count]) for count in range(len(words), 0, -1))
        found.append((chain.start(), chain[0], prefixes))
    return has.start() if has else None, tuple(found)


def _moved(fault: Fault, shift: int, inner: str) -> Fault:
    return replace(fault, offset=fault.offset + shift, fragment=fault.fragment or inner)


def _marks(text: str, faults: list[Fault]) -> list[tuple[int, int]]:
    """Start and end of each ``${{ }}``; braces and literals inside are stepped over."""
    found = []
    start = text.find("${{")
    while start >= 0:
        depth, at = 0, start + 3
        if (close := text.find("}}", at)) >= 0 and not _INSIDE.search(text, at, close):
            at = close
        while at < len(text):
            literal = _LITERAL.match(text, at)
            if literal and not literal[0].startswith("//"):
                at = literal.end()
                continue
            if text[at] == "{":
                depth += 1
            elif text[at] == "}" and depth:
                depth -= 1
            elif text.startswith("}}", at):
                found.append((start, at + 2))
                break
            at += 1
        else:
            faults.append(
                Fault(code="DR1040", what='no "}}" closes this "${{"', offset=start, fragment="${{")
            )
            break
        if len(found) > MAX_MARKS:
            what = f"a text with more than {MAX_MARKS} expressions"
            faults.append(Fault(code="DR1040", what=what, offset=start, fragment="${{"))
            return []
        start = text.find("${{", at + 2)
    return found


def _type(text: str, names: Mapping[str, CelType], alike: str) -> CelType:
    """
    The type of an expression. Ten thousand steps have few expressions that differ in more than the
    steps they name: those are compiled once, with numbers for names.
    """
    is_alike = alike != text and _NUMBERED not in text
    # What the library makes of these words in a name, only the name itself can say.
    if is_alike and not any(_RESERVED.intersection(name.split(".")) for name in names):
        numbered = {f"{_NUMBERED}{number}": kind for number, kind in enumerate(names.values())}
        try:
            return _compiled(alike, frozenset(numbered.items()))[1]
        except ExpressionError:
            pass  # said again below, about the text as it is written
    return _compiled(text, frozenset(names.items()))[1]


@lru_cache(maxsize=4096)
def _compiled(text: str, names: frozenset[tuple[str, CelType]]) -> tuple[Any, CelType]:
    from cel_expr_python import cel

    try:
        environment = cel.NewEnv(variables={name: cel.Type(kind) for name, kind in names})
        program = environment.compile(text)
        kind = str(program.return_type()).lower().replace(" ", "")
    except Exception as error:
        raise ExpressionError(*faults_in(str(error), text)) from error
    return program, CelType(kind)


def _no_value(expression: Expression, why: str) -> ExpressionError:
    text = sanitize(expression.text, limit=80)
    words = sanitize(re.sub(r"^[A-Z_]+: ", "", why), limit=200)
    return ExpressionError(Fault(code="DR1044", what=f"{text} has no value: {words}"))
