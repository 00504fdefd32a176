"""A runbook of any length, of the steps that real ones are made of."""

_HEAD = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: large, title: As long as one likes, owner: tests, scenario: large}}
objectives: {{rto: 1000h, rpo: 5m, clock: {{starts_at: run, stops_after: [s{last}]}}}}
targets: {{app: app.recovery}}
steps:
"""
_STEPS = (
    """\
  - id: s{n}
    title: Look whether part {n} answers
    uses: http.probe
    target: app
    with: {{path: /health}}
    until: outputs.status == 200
    every: 1s
    estimate: 5s
    timeout: 30s
""",
    """\
  - id: s{n}
    uses: kubernetes.deployment.scale
    target: app
    with: {{replicas: 5, at_least: true}}
    needs: [s{a}]
    estimate: 20s
    timeout: 2m
    undo:
      uses: kubernetes.deployment.scale
      target: app
      with: {{replicas: "${{{{ outputs.previous_replicas }}}}"}}
""",
    """\
  - id: s{n}
    uses: kubernetes.secret.patch
    target: app
    with:
      name: part-{n}
      data: {{host: "${{{{ string(steps.s{b}.outputs.status) }}}}.example.com"}}
    needs: [s{b}]
    estimate: 10s
    timeout: 30s
    retry: {{attempts: 3, backoff: 1s, on_errors: [throttled, unavailable]}}
""",
    """\
  - id: s{n}
    uses: kubernetes.deployment.restart
    target: app
    needs: [s{a}, s{b}]
    estimate: 90s
    timeout: 3m
""",
)


def runbook(steps: int) -> str:
    """Text of a valid runbook; every fourth step waits for two, and one hands a value on."""
    made = (_STEPS[n % 4].format(n=n, a=n - 1, b=n - 2) for n in range(steps))
    return _HEAD.format(last=steps - 1) + "".join(made)
