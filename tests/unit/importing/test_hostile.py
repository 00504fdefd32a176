"""Texts that are made to hurt: the answer comes soon, and is inert."""

import time

import pytest

from drctl.actions.registry import installed
from drctl.app.importing import import_file
from drctl.kernel.errors import InvalidError

REGISTRY = installed()
MANY = 60_000
ROWS = 2_500
HOSTILE = {
    "brackets": "(" * 15_000,
    "substitutions": "$(" * 9_000,
    "rows of substitutions": "a $(\n" * ROWS,
    "quotes": '"' * 15_001,
    "braces": "${" * 9_000,
    "here documents": "cat <<A\n" * ROWS,
    "ands": "a &&\n" * 1_900 + "b",
    "ifs": "if true; then\n" * ROWS,
    "backticks": "`" * 9_001,
    "words for names": "\n".join(["a-" * 9_000] * 25),
    "urls": "\n".join(["a://b:" * 3_000] * 10),
    "jwt": "\n".join(["eyJaaaaaaaa-" * 1_500] * 10),
    "curl": "\n".join(["curl -u " * 2_000] * 10),
    "passwords": "\n".join(["--password" * 1_500] * 10),
    "keys": "-----BEGIN A-----\n" * ROWS,
    "nested loops": "while a; do\n" * 90 + "b\n" + "done\n" * 90,
    "blanks": " " * 15_000 + "\n" + "\t" * 15_000,
    "stars": "*" * 15_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_answer_comes_soon(tmp_path, name):
    file = tmp_path / "x.sh"
    file.write_text(HOSTILE[name])
    start = time.process_time()
    try:
        (one,) = import_file(file, REGISTRY)
    except InvalidError as refused:
        assert {problem.code for problem in refused.problems} <= {"DR1095"}  # noqa: PT017
    else:
        assert one.account.lines or not HOSTILE[name].strip()
    assert time.process_time() - start < 20  # of this processor, which others use too


@pytest.mark.parametrize(
    "text",
    ["#" * 9_000, "- " * 9_000, "> " * 9_000, "```bash\n" * ROWS, "[" * 15_000, "1. " * 6_000],
    ids=["heads", "lists", "quotes", "fences", "links", "numbers"],
)
def test_markdown_too(tmp_path, text):
    file = tmp_path / "x.md"
    file.write_text(text + "\n\n```bash\nkubectl get pods\n```\n")
    start = time.process_time()
    try:
        import_file(file, REGISTRY)
    except InvalidError as refused:
        assert {problem.code for problem in refused.problems} <= {"DR1095", "DR1097"}  # noqa: PT017
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    "text",
    ["f(" * 5_000, "a." * 5_000 + "b", "-" * 9_000 + "1", "def f():\n" * 200, "x = '\\d'\x00"],
    ids=["calls", "dots", "signs", "indents", "nul"],
)
def test_python_in_a_document_too(tmp_path, text):
    file = tmp_path / "x.md"
    file.write_text(f"```python\n{text}\n```\n\n```bash\nkubectl get pods\n```\n")
    assert len(import_file(file, REGISTRY)) == 2


def test_controls_do_not_reach_a_reader(tmp_path):
    file = tmp_path / "x.sh"
    file.write_text(
        "# a \x1b[31mred\x1b[0m \u202e right \u200b\nrm \x1b]0;title\x07 /x\u2028y\n"
        "kubectl scale deployment/a\x1b[2J --replicas=0\n"
    )
    (one,) = import_file(file, REGISTRY)
    said = one.draft + "".join(found.what for found in one.findings)
    assert not set("\x1b\x07\u202e\u200b\u2028") & set(said)


def test_a_comment_cannot_end_its_comment(tmp_path):
    file = tmp_path / "x.sh"
    file.write_text("# a\rsteps: []\x85- id: evil\u2028uses: shell.destroy\nrm -r /x\n")
    (one,) = import_file(file, REGISTRY)
    assert not one.problems
    assert "evil" not in "\n".join(
        line for line in one.draft.splitlines() if not line.lstrip().startswith("#")
    )


def test_an_expression_in_a_script_is_text(tmp_path):
    file = tmp_path / "x.sh"
    file.write_text('curl -d \'{"text": "${{ run.operator }}"}\' https://hooks.slack.com/x\n')
    (one,) = import_file(file, REGISTRY)
    assert "${{ run.operator" not in one.draft
    assert not one.problems
