"""
What a condition asks, one by one, as far as its text shows it.

Not the language: a plan under comparison may be of any version, and its texts are nobody's to
compile. Where the text is not plainly several things joined by ``&&``, it is one.
"""

import re
from collections import Counter

_QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
REFERENCE = re.compile(r"\bsteps\.([A-Za-z_]\w*)")
"""Where a text speaks of a step."""
_OPEN, _CLOSED = "([{", ")]}"


def conjuncts(text: str | None) -> tuple[str, ...]:
    """
    What must all be true; empty where nothing is asked.

    >>> conjuncts("outputs.status == 200 && outputs.checks.database == true")
    ('outputs.status == 200', 'outputs.checks.database == true')
    >>> conjuncts("${{ a && (b || c) }}")
    ('a', '(b || c)')
    >>> conjuncts("a && b || c")
    ('a && b || c',)
    """
    bare = " ".join((text or "").split())
    if bare.startswith("${{") and bare.endswith("}}"):
        bare = bare[3:-2].strip()
    if not bare:
        return ()
    found, start, depth = [], 0, 0
    # Of the same length, with nothing in a quoted text that could be taken for a sign.
    signs = _QUOTED.sub(lambda match: "_" * len(match[0]), bare)
    for index, sign in enumerate(signs):
        depth += (sign in _OPEN) - (sign in _CLOSED)
        if depth == 0 and (sign == "?" or signs.startswith("||", index)):
            return (bare,)
        if depth == 0 and signs.startswith("&&", index):
            found.append(bare[start:index].strip())
            start = index + 2
    return (*found, bare[start:].strip())


def lost(before: str | None, after: str | None) -> tuple[str, ...]:
    """
    What is no longer asked; empty where as much is asked in other words.

    >>> lost("a == 1 && b == 2", "a == 1"), lost("a == 1", None)
    (('b == 2',), ('a == 1',))
    >>> lost("a == 1", "a == 2")
    ()
    """
    old, new = Counter(conjuncts(before)), Counter(conjuncts(after))
    gone, came = old - new, new - old
    return tuple(gone) if gone.total() > came.total() else ()
