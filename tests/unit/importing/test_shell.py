"""Text to commands: quotes, pipes, loops, what is not understood, and where everything stands."""

import pytest

from drctl.importing.shell import parse


def script(text):
    return parse(text, file="x.sh", name="x.sh")


def only(text):
    (command,) = script(text).commands
    return command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("a \\\n  b", ["a", "b"]),
        ("a b\"c\"'d'", ["a", "bcd"]),
        ("a b\\ c", ["a", "b c"]),
        ('a "x\\"y"', ["a", 'x"y']),
        ("a --x=$Y", ["a", "--x=$Y"]),
        ("sudo -u root a b", ["a", "b"]),
        ("timeout -k 5 30 a b", ["a", "b"]),
        ("A=1 B=2 a b", ["a", "b"]),
        ("a b > /tmp/x 2>&1", ["a", "b"]),
        ("a $'b'", ["a", "b"]),
    ],
)
def test_words(text, words):
    assert words == [word.text for word in only(text).words]


@pytest.mark.parametrize(
    ("word", "is_literal"),
    [("b", True), ("'*'", True), ("*.log", False), ("~/x", False), ("$b", False), ("$(b)", False),
     ("{1..3}", False), ('"$b"', False), ("'$b'", True), ("\\*", True)],
)  # fmt: skip
def test_a_word_is_literal_when_the_shell_would_leave_it(word, is_literal):
    command = next(script(f"a {word}").named("a"))
    assert is_literal == command.words[1].is_literal


def test_positions_count_characters_from_one():
    command = list(script("a\n  é 'ü' bc\n").commands)[1]
    assert (command.at.line, command.at.column) == (2, 3)
    assert (command.words[2].at.line, command.words[2].at.column) == (2, 9)


def test_a_pipeline_knows_its_members():
    one = script("a | b | while read x; do c $x; done\nd\n")
    first = next(one.named("a"))
    assert [c.name for c in one.piped_to(first)] == ["b", "read", "c"]
    assert next(one.named("d")).pipe is None


def test_what_is_behind_or_and_what_captures():
    one = script("a || echo no\nX=$(b | c)\nif d; then e; fi\n")
    assert next(one.named("a")).or_else == ("echo",)
    assert [c.captured_by for c in one.named("b", "c")] == ["X", "X"]
    assert next(one.named("d")).is_condition and not next(one.named("e")).is_condition


def test_a_here_document_belongs_to_its_command():
    one = script("cat <<EOF | psql\nselect '$A';\nEOF\nafter\n")
    assert [(s.first_line, s.last_line) for s in one.statements] == [(1, 3), (4, 4)]
    assert "A" in one.used
    assert [c.name for c in one.commands] == ["cat", "psql", "after"]


def test_loops():
    one = script(
        "while ! a; do sleep 1; done\nfor i in 1 2; do b; done\nwhile read x; do c; done\n"
    )
    loops = {c.name: c.loops[0] for c in one.named("a", "b", "c")}
    assert [loops[n].kind for n in "abc"] == ["while", "for", "while"]
    assert [loops[n].is_bounded for n in "abc"] == [False, True, True]


def test_a_mistake_costs_its_statement_only():
    one = script("kubectl get pods\nkubectl apply -f 'a\n")
    kinds = [(s.kind, s.first_line, s.last_line) for s in one.statements]
    assert kinds == [("command", 1, 1), ("unknown", 2, 2)]
    assert [c.name for c in one.commands] == ["kubectl"]


def test_when_nothing_can_be_made_of_it_all_of_it_is_one_piece():
    one = script("kubectl get pods\nif then fi fi (\n")
    assert [(s.kind, s.first_line, s.last_line) for s in one.statements] == [("unknown", 1, 2)]
    assert one.commands == ()
    assert "(" * 9_000 == script("(" * 9_000).statements[0].text
    assert len(script("(" * 9_000).statements) == 1


@pytest.mark.parametrize("text", ["case $x in a) b;; esac\n", "( a; b )\n", "a() ( b )\n"])
def test_what_is_not_read_says_so(text):
    (statement,) = script(text).statements
    assert statement.kind in {"unknown", "function"}
    assert statement.kind == "function" or statement.why
