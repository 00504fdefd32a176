"""What a statement becomes: the action that does what it is for, or a person's."""

import pytest

from drctl.actions.registry import installed
from drctl.app.importing import import_file

REGISTRY = installed()


def imported(folder, text):
    file = folder / "x.sh"
    file.write_text(text)
    (one,) = import_file(file, REGISTRY)
    assert not one.problems
    return one


def uses(one):
    return [line.split(": ")[1] for line in one.draft.split("\n") if line.startswith("    uses: ")]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("kubectl scale deployment/app --replicas=0", "kubernetes.deployment.stop"),
        ("kubectl scale deploy app --replicas 4", "kubernetes.deployment.scale"),
        ("kubectl -n prod rollout restart deployment/app", "kubernetes.deployment.restart"),
        ("kubectl rollout undo deployment/app", "kubernetes.deployment.rollback"),
        ("kubectl rollout status deployment/app", "kubernetes.deployment.wait"),
        ("kubectl rollout history deployment/app", "kubernetes.revision.check"),
        ("kubectl get pods -l app=x", "kubernetes.pods.list_ready"),
        ("kubectl exec deployment/app -- ls /", "kubernetes.pod.exec"),
        (
            'kubectl patch cronjob j -p \'{"spec":{"suspend":true}}\'',
            "kubernetes.cronjob.suspend",
        ),
        ("psql -c 'select pg_promote()'", "postgres.promote"),
        ("aws rds promote-read-replica --db-instance-identifier x", "aws.rds.promote_replica"),
        ("aws rds wait db-instance-available --db-instance-identifier x", "aws.rds.instance.wait"),
        ("aws elbv2 describe-load-balancers --names x", "aws.elbv2.check"),
        ("curl -f https://api.example.net/health", "http.probe"),
        ("curl -f http://prometheus:9090/-/healthy", "prometheus.health"),
        ('curl -d \'{"text":"x"}\' https://slack.example.net/', "slack.message.post"),
    ],
)
def test_a_command_becomes_the_action_that_does_what_it_is_for(tmp_path, text, action):
    one = imported(tmp_path, text + "\n")
    assert action in uses(one)
    assert [line.fate for line in one.account.lines] == ["mapped"]


@pytest.mark.parametrize(
    "text",
    [
        "kubectl delete namespace prod",
        "kubectl scale statefulset/db --replicas=0",
        "kubectl set image deployment/app app=x:2",
        'kubectl exec deployment/app -- sh -c "$CODE"',
        "kubectl scale deployment/app --replicas=$(cat n)",
        "aws s3 rm s3://x --recursive",
        "rm -rf /data",
        "kubectl get pods | xargs kubectl delete",
        "kubectl rollout undo deployment/app || kubectl delete deployment/app",
        "if x; then kubectl rollout undo deployment/app; fi",
        "curl -X DELETE https://api.example.net/everything",
        "aws route53 change-resource-record-sets --change-batch file://x.json",
    ],
)  # fmt: skip
def test_what_no_action_does_is_left_whole_for_a_person(tmp_path, text):
    one = imported(tmp_path, text + "\n")
    assert set(uses(one)) <= {"shell.command", "shell.look", "shell.destroy"}
    assert {line.fate for line in one.account.lines} == {"review"}
    assert "REVIEW: " in one.draft


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf $X/*",
        "bash -c 'rm x'",
        "sudo rm x",
        "a | b",
        "a > b",
        "for i in 1 2; do rm $i; done",
    ],
)
def test_what_takes_a_shell_is_never_run_by_the_draft(tmp_path, text):
    """A step that nobody has reviewed fails, and says that it has changed nothing."""
    one = imported(tmp_path, text + "\n")
    assert 'argv: ["/bin/false"], untouched: [1]' in one.draft


def test_half_a_chain_is_not_mapped(tmp_path):
    one = imported(tmp_path, "kubectl rollout undo deployment/app && rm -r /x\n")
    assert uses(one) == ["shell.destroy"]


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf /srv/old",
        "terraform destroy -auto-approve",
        "helm -n a uninstall app",
        "kubectl -n a delete pvc data",
        "aws s3 rm s3://x --recursive",
        "aws ec2 terminate-instances --instance-ids i-1",
        "gcloud sql instances delete app",
        "psql -c 'drop table x'",
        "redis-cli FLUSHALL",
        "find /var/x -name a -delete",
        "mkfs.ext4 /dev/sdb",
        "lvremove -f vg/old",
        "kubectl exec app-0 -- /bin/rm -r /data",
        "for one in a b; do dropdb $one; done",
    ],
)
def test_what_has_no_way_back_is_drafted_as_that(tmp_path, text):
    """Plan and gate count a destruction as one; as a change it would seem to be undone."""
    assert uses(imported(tmp_path, text + "\n")) == ["shell.destroy"]


@pytest.mark.parametrize(
    "text",
    [
        "ls /srv/rm",
        "terraform plan",
        "kubectl label pod a delete=no",
        "psql -c 'select 1'",
        "docker run --rm app",
    ],
)
def test_what_takes_nothing_away_is_not(tmp_path, text):
    assert set(uses(imported(tmp_path, text + "\n"))) <= {"shell.command", "shell.look"}


def test_what_a_failed_attempt_noted_is_taken_back(tmp_path):
    one = imported(tmp_path, "kubectl rollout restart deployment/app && rm -r /x\n")
    assert "targets:" not in one.draft.replace("these targets:", "")


def test_there_is_one_point_of_no_return(tmp_path):
    promote = "psql -h {} -c 'select pg_promote()'\n"
    one = imported(tmp_path, promote.format("a") + promote.format("b"))
    assert uses(one).count("postgres.promote") == 1
    assert [line.fate for line in one.account.lines] == ["mapped", "review"]


def test_what_nobody_understood_stays_behind_what_stood_before_it(tmp_path):
    text = "psql -c 'select pg_promote()'\naws rds create-db-snapshot --db-snapshot-identifier a\n"
    found = uses(imported(tmp_path, text + "reboot-everything\n"))
    assert found.index("shell.command") > found.index("postgres.promote")


def test_one_name_of_the_environment_is_one_thing(tmp_path):
    text = "psql -c 'select pg_promote()'\naws rds create-db-snapshot --db-snapshot-identifier a\n"
    draft = imported(tmp_path, text).draft
    assert "old_db: db.primary\n" in draft and "db: db.primary_rds\n" in draft


def test_a_variable_becomes_an_input(tmp_path):
    one = imported(tmp_path, "NAME=prod\nsnapshot --of $NAME\n")
    assert "name: {type: string, default: prod}" in one.draft
    assert '"${{ inputs.name }}"' in one.draft


def test_nothing_changes_waits_for_a_message(tmp_path):
    slack = 'curl -d \'{"text":"x"}\' https://slack.example.net/\n'
    one = imported(tmp_path, slack + "kubectl rollout restart deployment/app\n" + slack)
    assert "kubernetes.deployment.restart" in uses(one)


def test_a_script_that_does_nothing_has_no_draft(tmp_path):
    one = imported(tmp_path, "#!/bin/sh\n# words\necho hello\n")
    assert one.draft == ""
    assert [line.fate for line in one.account.lines] == ["dropped"] * 3
