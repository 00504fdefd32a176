"""Whatever bytes come, the YAML reader answers with a tree or with problems."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError, Position
from drctl.kernel.yaml_text import read
from drctl.kernel.yaml_tree import plain, scalars
from drctl.runbook import load_runbook

YAMLISH = st.text(
    alphabet="ab:-?{}[],&*!|>'\"%@`#~ \n\t0129.+eE_<=yesno\ufeff\x00\x85\u2028é😀\ud800",
    max_size=200,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(YAMLISH, st.text(max_size=200)))
def test_reading_never_raises_and_every_problem_has_a_place(text: str) -> None:
    document = read(text, file="f")
    lines = text.count("\n") + text.count("\r") + 2
    for problem in document.problems:
        assert isinstance(problem.at, Position)
        assert 1 <= problem.at.line <= lines
    if document.root is None:
        assert document.problems
    else:
        plain(document.root)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_loading_arbitrary_bytes_raises_invalid_error_only(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "runbook.yaml"
        path.write_bytes(content)
        try:
            load_runbook(path, registry=Registry([]))
        except InvalidError as error:
            assert error.problems  # noqa: PT017 (either way out is right, nothing else is)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60))
def test_a_quoted_scalar_is_exactly_its_text_and_its_place_is_in_the_line(text: str) -> None:
    quoted = text.replace("'", "''")
    root = read(f"key: '{quoted}'\n", file="f").root
    if root is None:
        return  # a character that YAML does not know
    ((_, node),) = scalars(root)
    assert node.text == text
    for offset in range(len(text)):
        assert node.place(offset, text[offset]).line == 1
