"""What looks like a secret is told, and never repeated; what does not is left alone."""

from collections.abc import Callable

import pytest

Check = Callable[..., list[str]]


def patch(line: str) -> str:
    return f"""\
- id: one
  uses: kubernetes.secret.patch
  target: app
  with: {{name: x, data: {{{line}}}}}
  estimate: 1s
  timeout: 2s
"""


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        "db-password: hunter2",
        "dbPassword: hunter2",
        "API_KEY: abc",
        "slack_token: abc",
        "a: AKIAIOSFODNN7EXAMPLE",
        'a: "postgres://app:hunter2@db/x"',
        'a: "host=db password=hunter2"',
        'a: "https://hooks.slack.com/services/T0/B0/xyz"',
        "a: xoxb-123456789-abcdef",
        "a: ghp_0123456789abcdefghijABCDEFGHIJ",
        "a: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln",
        'a: "Bearer abcdefghijklmnop"',
        'a: "BEARER abcdefghijklmnop"',
        'a: "psql PASSWORD=hunter2"',
        'a: "-----BEGIN RSA PRIVATE KEY-----"',
        "a: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "a: kJ8sNw2pQz7LmXv4RtYb",
    ],
)
def test_a_literal_secret_is_one_problem_that_does_not_repeat_it(check: Check, line: str) -> None:
    problems = check(patch(line))
    assert [problem[:6] for problem in problems] == ["DR1030"]
    secret = line.partition(": ")[2].strip('"')
    assert secret not in problems[0]


@pytest.mark.parametrize(
    "line",
    [
        'host: "${{ inputs.region }}"',
        'password: "${{ inputs.region }}"',
        "password: env:DB_PASSWORD",
        "secret_name: healing-guard-db",
        "a: healing-guard-prod.c9akciq32.us-west-2.rds.amazonaws.com",
        "a: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "a: 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "a: https://example.com/a/b?c=d",
        "a: https://status.example.com:8443/path@home",
        "a: arn:aws:rds:us-west-2:123456789012:db/healing-guard-dr",
        "a: kubernetesDeploymentRestartTimeout2x",
        "a: inc-20261122-001",
    ],
)
def test_what_only_resembles_a_secret_is_left_alone(check: Check, line: str) -> None:
    assert check(patch(line)) == []
