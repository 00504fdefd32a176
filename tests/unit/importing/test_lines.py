"""No line is lost, whatever the text: each has a fate; and every draft is valid."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.registry import installed
from drctl.app.importing import import_file
from drctl.kernel.errors import InvalidError

REGISTRY = installed()
PIECES = [
    "kubectl scale deployment/app --replicas=0",
    "kubectl scale deployment/b --replicas=$N",
    "kubectl set env deployment/app DATABASE_URL=x",
    'kubectl patch postgresql db -p \'{"hot_standby":"off"}\'',
    "aws rds promote-read-replica --db-instance-identifier x",
    "aws elbv2 create-load-balancer --name x",
    "aws rds restore-db-instance-to-point-in-time --target-db-instance-identifier \\\n  new",
    "aws route53 change-resource-record-sets --change-batch '{}'",
    'curl -d \'{"text":"hi ${{ x }}"}\' https://hooks.slack.com/services/T0/B0/abcdefgh',
    "curl -f https://api.example.net/health || echo no",
    "psql -c 'select pg_promote()'",
    "while ! kubectl get pods; do\n  sleep 1\ndone",
    "for i in 1 2; do echo $i; done",
    "rm -rf /x/* && cd /tmp",
    "cat <<EOF\nline\n\nEOF",
    "case $x in\n a) b;;\nesac",
    "if then (",
    "'unclosed",
    "f() {\n  kubectl rollout undo deployment/app\n}",
    "N=5",
    "arr=(a b)",
    "export AWS_REGION=us-west-2",
    "export A=$(b)",
    "# Step 1: words\u202e \x07",
    "echo hello; kubectl get pods",
    "\x00\x01\x1b[31m",
    "${{ steps.x }}",
    "a: b",
    "\u2022=:",
    "bash -c 'x'",
    "FOO=1 python3 x.py > out",
    "\u2028",
    "",
]


def imported(text, folder):
    file = folder / "x.sh"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    (one,) = import_file(file, REGISTRY)
    return one


def check(one, text):
    wanted = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    assert wanted == [line.number for line in one.account.lines]
    steps = {line.split(": ", 1)[1] for line in one.draft.split("\n") if line.startswith("  - id:")}
    for line in one.account.lines:
        assert line.why
        assert set(line.steps) <= steps
        if line.fate == "review":
            assert line.steps
    assert not one.problems, (one.problems, one.draft)


def test_an_expression_in_what_a_program_is_called_stays_text(tmp_path):
    """Quotes may hold it, over lines too; in a title it would be read as ours."""
    text = "'unclosed\n${{ steps.x }}\n'unclosed"
    one = imported(text, tmp_path)
    check(one, text)
    assert "$ {{ steps.x }}" in one.draft


def test_a_bullet_of_the_scripts_own_is_no_secret(tmp_path):
    one = imported("deploy \u2022 now", tmp_path)
    assert "SECRET" not in one.draft
    assert "a secret stands in it" not in one.draft


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_every_line_has_a_fate_and_the_draft_is_valid(tmp_path_factory, pieces):
    text = "\n".join(pieces)
    check(imported(text, tmp_path_factory.mktemp("x")), text)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab $\"'`\\|&;(){}[]<>\n#=!*?~-/@:,•é\t\r"), max_size=80))
def test_garbage_has_a_fate_too(tmp_path_factory, text):
    check(imported(text, tmp_path_factory.mktemp("x")), text)


@pytest.mark.parametrize("piece", PIECES)
def test_each_piece_alone(tmp_path, piece):
    check(imported(piece, tmp_path), piece)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff", "DR1000"),
        (b"x" * 300_000, "DR1095"),
        (b"a " * 15_000, "DR1095"),
        (b"a;" * 3_000, "DR1095"),
    ],
)
def test_what_nobody_has_written_is_refused(tmp_path, content, code):
    file = tmp_path / "x.sh"
    file.write_bytes(content)
    with pytest.raises(InvalidError) as refused:
        import_file(file, REGISTRY)
    assert [problem.code for problem in refused.value.problems] == [code]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidError) as refused:
        import_file(tmp_path / "x.sh", REGISTRY)
    assert refused.value.problems[0].code == "DR1000"


def test_two_statements_on_a_line_share_the_graver_fate(tmp_path):
    one = imported("echo hello; rm -r /x\n", tmp_path)
    assert [line.fate for line in one.account.lines] == ["review"]


def test_the_source_is_only_text():
    """Nothing in the room can run anything."""
    import drctl.importing

    folder = Path(drctl.importing.__file__).parent
    text = "".join(file.read_text() for file in folder.rglob("*.py"))
    for word in ("subprocess", r"os\.system", "popen", r"exec\(", r"eval\(", "expandvars", "pty"):
        assert not re.search(rf"(?<![\w.]){word}", text), word
