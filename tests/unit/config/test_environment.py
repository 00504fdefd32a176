"""An environment file: every problem at once, each with its place."""

import pytest

from drctl.config import environment as env
from drctl.config.environment import find_environment, load_environment
from drctl.kernel.errors import InvalidError

GOOD = """\
apiVersion: drctl/v1
kind: Environment
metadata: {name: x, title: X}
world: live
objectives: {rto: 15m, rpo: 5m}
connections:
  west: {type: aws, region: us-west-2, account: "123456789012", access_key_id: "env:A",
    secret_access_key: "env:B"}
targets:
  db.recovery: {kind: aws.rds.instance, aws: west, instance: orders}
  comms.room: {kind: slack.channel, webhook: "env:W", channel: "#a"}
"""


@pytest.fixture
def problems(tmp_path):
    def of(text):
        path = tmp_path / "x.yaml"
        path.write_text(text)
        with pytest.raises(InvalidError) as caught:
            load_environment(path)
        return [
            (getattr(problem.at, "line", None), problem.what) for problem in caught.value.problems
        ]

    return of


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    made = load_environment(path)
    assert (900.0, 300.0, "live", True) == (made.rto_s, made.rpo_s, made.world, made.protected)
    assert "us-west-2" == made.targets["db.recovery"].aws.region


def test_its_stores_are_read_with_their_places(tmp_path):
    path = tmp_path / "x.yaml"
    stores = "stores:\n  files: {kind: bucket, snapshot_every: 6h}\n  main: {kind: database,"
    path.write_text(GOOD + stores + " targets: [db.recovery], scenarios: [a, b]}\n")
    files, main = load_environment(path).stores.values()
    assert (files.snapshot_every_s, files.scenarios) == (21600.0, ("region-outage",))
    assert (main.targets, main.scenarios) == (("db.recovery",), ("a", "b"))
    assert (files.position.line, main.position.line) == (13, 14)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("world: live", "world: moon", 4, "world"),
        ("kind: Environment", "kind: Runbook", 2, "kind"),
        ("rto: 15m", "rto: 15", 5, "rto"),
        ("rto: 15m", "rto: 0s", 5, "no time"),
        ('account: "123456789012"', "account: '12'", 7, "account"),
        ("type: aws", "type: azure", 7, "needs a type"),
        ("aws: west", "aws: wst", 10, 'did you mean "west"'),
        ("instance: orders", "instanse: orders", 10, "instanse"),
        ("db.recovery:", "app.recovery:", 10, "is named"),
        ('webhook: "env:W"', 'webhook: "https://hooks/secret"', 11, "reference"),
        ("world: live", "wrld: live", 4, "wrld"),
        ("kind: slack.channel", "kind: slack.chanel", 11, "slack.chanel"),
        ("world: live", "stores: {a: {kind: cache, targets: [db.recvery]}}", 4, "db.recovery"),
        ("world: live", "stores: {a: {targets: []}}", 4, "kind"),
        ("world: live", "stores: {a: {kind: cache, snapshot_every: 0s}}", 4, "snapshot_every"),
        ("world: live", "stores: {a: {kind: cache, snapshot_every: 6}}", 4, "snapshot_every"),
        ("world: live", "stores: {A b: {kind: cache}}", 4, "stores"),
    ],
)
def test_a_mistake_has_its_line_and_its_words(problems, old, new, line, words):
    found = problems(GOOD.replace(old, new))
    assert any(at == line and words in what for at, what in found), found
    assert not any("hooks/secret" in what for _at, what in found)


@pytest.mark.parametrize("key", ["connections", "targets"])
def test_a_list_in_the_place_of_names_is_no_empty_mapping(problems, key):
    head = GOOD.split("connections:", maxsplit=1)[0]
    assert any(f"{key} are a mapping" in what for _at, what in problems(head + f"{key}: [a]\n"))


def test_all_problems_are_told_at_once_and_by_line(problems):
    text = GOOD.replace("world: live", "world: moon").replace("aws: west", "aws: wst")
    found = problems(text.replace("instance: orders", "instance: ''"))
    assert [at for at, _what in found] == sorted(at for at, _what in found)
    assert {4, 10} <= {at for at, _what in found}


def test_an_environment_that_is_not_there_says_where_was_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text(GOOD)
    assert find_environment("prod").name == "prod.yaml"
    with pytest.raises(InvalidError) as caught:
        find_environment("prd")
    assert 'did you mean "prod"' in caught.value.problems[0].what
    with pytest.raises(InvalidError):
        find_environment("./nowhere.yaml")


def test_a_lab_that_somebody_else_put_there_is_not_ours(tmp_path, monkeypatch):
    """The folder for temporary files is everybody's."""
    monkeypatch.setattr(env, "lab_root", lambda: tmp_path)
    with pytest.raises(InvalidError):
        find_environment("lab")
    mine = tmp_path / "environment.yaml"
    mine.write_text(GOOD)
    assert mine == find_environment("lab")
    monkeypatch.setattr(env.os, "getuid", lambda: 12345)
    with pytest.raises(InvalidError) as caught:
        find_environment("lab")
    assert "not yours" in caught.value.problems[0].what
