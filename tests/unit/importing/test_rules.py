"""Each rule finds the smallest script that breaks it, and is silent on the right one."""

import re

import pytest

from drctl.importing.rules import RULES, find
from drctl.importing.shell import looked_at, parse


def found(rule, text):
    if rule.language == "shell":
        script = parse(text, file="x.sh", name="x")
    else:
        script = looked_at(text, file="x", name="x", first_line=1, language=rule.language)
    return {one.id for one in find(script)}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda one: one.id)
def test_a_rule_finds_what_is_wrong_and_only_that(rule):
    assert rule.id in found(rule, rule.bad)
    assert rule.id not in found(rule, rule.good)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda one: one.id)
def test_a_rule_says_what_why_and_what_instead(rule):
    assert re.fullmatch(r"DR65[0-7]\d", rule.id)
    assert rule.source == f"E{int(rule.id[-2:])}"
    assert rule.title and rule.reason.endswith(".") and rule.fix.endswith(".")


RIGHT = """\
#!/usr/bin/env bash
set -euo pipefail
exec > >(tee -a /var/log/dr.log) 2>&1
exec 9>/run/lock/dr
flock -n 9

REGION=us-west-2
curl -fsS --max-time 5 --json @begun.json "$WEBHOOK"
flux --context "$CONTEXT" suspend kustomization app
aws rds stop-db-instance --region us-east-1 --db-instance-identifier old
aws cloudwatch get-metric-statistics --region "$REGION" --metric-name ReplicaLag
aws rds wait db-instance-available --region "$REGION" --db-instance-identifier new
aws rds promote-read-replica --region "$REGION" --db-instance-identifier new
aws rds wait db-instance-available --region "$REGION" --db-instance-identifier new
psql "$NEW" -tAc 'select pg_is_in_recovery()' | grep -qx f
aws service-quotas get-service-quota --region "$REGION" --quota-code L-1
kubectl --context "$CONTEXT" set env deployment/app --from=secret/app-db
kubectl --context "$CONTEXT" rollout status deployment/app --timeout=3m
aws s3api put-object --bucket switch-"$REGION" --key engaged
curl -fsS --max-time 5 https://api.example.net/health
aws rds create-db-instance-read-replica --region us-east-1 --db-instance-identifier again
curl -fsS --max-time 5 --json @ended.json "$WEBHOOK"
"""


def test_a_careful_script_has_no_finding():
    assert [(one.id, one.at.line) for one in find(parse(RIGHT, file="x", name="x"))] == []


IDIOMS = """\
set -eu
kill "$PID" 2>/dev/null || true
grep -q x file || true
for i in $(seq 1 10); do ping -c1 host && exit 0; sleep 1; done
while read -r line; do echo "$line"; done < hosts
timeout 60 kubectl logs -f deployment/app | grep -m1 ready
kubectl get pods -o custom-columns=IP:.status.podIP | awk '{print $1}'
kubectl patch deployment app -p '{}' --context here
echo "-----BEGIN PGP PUBLIC KEY BLOCK-----" > key
pg_dump --host=standby-db --username=backup app > /backup/app
curl -fsS -m 5 http://localhost:8080/health
"""


@pytest.mark.parametrize(
    "rule",
    [
        "DR6568",
        "DR6536",
        "DR6526",
        "DR6518",
        "DR6542",
        "DR6512",
        "DR6510",
        "DR6571",
        "DR6506",
        "DR6505",
    ],
)
def test_what_careful_people_write_is_no_finding(rule):
    assert rule not in {one.id for one in find(parse(IDIOMS, file="x", name="x"))}


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("sudo kubectl exec -ti app-1 -- id\n", "DR6507", 1),
        ("kubectl exec app-1 --tty=true -- id\n", "DR6507", 1),
        ("if true; then\n  kubectl logs --follow app-1\nfi\n", "DR6518", 2),
        ("f() {\n  aws rds modify-db-instance --publicly-accessible\n}\n", "DR6523", 2),
        ("until test -f /x; do sleep 5; done\n", "DR6526", 1),
        ("x=$(kubectl get pods \\\n  | awk '{print $6}')\n", "DR6542", 2),
        ("patronictl failover --candidate b --force\n", "DR6513", 1),
        ("kubectl -n prod cnpg promote c c-2\n", "DR6513", 1),
        ("kubectl exec p -- psql -c 'select pg_promote()'\n", "DR6513", 1),
        ("curl https://x.example.net/ || true\n", "DR6568", 1),
        ("export PGPASSWORD=hunter22\npsql -c 'select 1'\n", "DR6505", 1),
    ],
)
def test_a_rule_sees_it_in_other_words(text, rule, line):
    assert (rule, line) in {(f.id, f.at.line) for f in find(parse(text, file="x", name="x"))}
