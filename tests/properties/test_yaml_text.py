"""Whatever bytes come, the YAML reader answers with a tree or with problems."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError, Position
from drctl.kernel.yaml_plain import read_plain
from drctl.kernel.yaml_text import BYTE_ORDER_MARK, read, refused
from drctl.kernel.yaml_tree import key_position, plain, position_of, scalars
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


@settings(max_examples=400, deadline=None)
@given(st.one_of(YAMLISH, st.text(max_size=200)))
def test_what_is_read_fast_has_no_problem_and_the_same_values_and_places(text: str) -> None:
    text = text.removeprefix(BYTE_ORDER_MARK)
    found = None if refused(text, file="f") else read_plain(text)
    if found is None:
        return
    document = read(text, file="f")
    assert not document.problems
    assert not document.has_nulls
    assert document.root is not None
    assert repr(plain(document.root)) == repr(found.values)
    for path, mark in found.marks.items():
        assert key_position(document.root, path) == position_of("f", mark)
