"""Guards of the fault matrix, and how to switch each off."""

from guards import Guard

WORST = "tests/safety/faults/test_adapters_at_their_worst.py"


def cell(name: str) -> str:
    """The one cell that must go red."""
    node = f"tests/safety/faults/test_matrix.py::test_a_cell_keeps_the_promises[{name}]"
    return f"'{node}'"


GUARDS = [
    Guard(
        name="read-back-of-a-lost-reply",
        promise="I8",
        file="engine/effects.py",
        old="        return await self._settle(asked, word, why, deadline, late_s=late_s)\n",
        new="        return failed(word, why)\n",
        command=cell("slack.message.post-slack.chat.postMessage-reset_after-first"),
    ),
    Guard(
        name="late-requests",
        promise="I8",
        file="engine/readback.py",
        old="LATE_S = 20.0",
        new="LATE_S = 0.0",
        command=cell("statuspage.incident.open-statuspage.POST.incidents-late-first"),
    ),
    Guard(
        name="aws-one-delivery",
        promise="I8",
        file="adapters/aws/client.py",
        old='retries={"total_max_attempts": 1, "mode": "standard"}',
        new='retries={"total_max_attempts": 3, "mode": "standard"}',
        command=cell("aws.route53.record.upsert-route53.POST.rrset-reset_after-first"),
    ),
    Guard(
        name="kubernetes-one-delivery",
        promise="I8",
        file="adapters/kubernetes/client.py",
        old="retries=False",
        new='retries=__import__("urllib3").Retry(3, allowed_methods=None)',
        command=cell("kubernetes.deployment.restart-PATCH.deployments-reset_after-first"),
    ),
    Guard(
        name="http-5xx-is-unknown",
        promise="I8",
        file="adapters/_http.py",
        old='            word = Unavailable if method == "GET" else OutcomeUnknown\n',
        new="            word = Unavailable\n",
        command=cell("slack.message.post-slack.chat.postMessage-error_after-persistent"),
    ),
    Guard(
        name="sql-lost-answer-is-unknown",
        promise="I8",
        file="adapters/_sql.py",
        old="    if word is OutcomeUnknown and not mutates:\n",
        new="    if word is OutcomeUnknown:\n",
        command=cell("postgres.primary.assert_writable-sql.insert-reset_after-persistent"),
    ),
    Guard(
        name="kubernetes-echo",
        promise="I8",
        file="adapters/kubernetes/client.py",
        old="    return None if found == wanted else str(found)\n",
        new="    return None\n",
        command=cell("kubernetes.deployment.wait-GET.deployments-wrong_object-persistent"),
    ),
    Guard(
        name="kubernetes-stale-answers",
        promise="I8",
        file="adapters/kubernetes/client.py",
        old="        if self._version(answer) < self._changed.get(path, 0):\n",
        new="        if False:\n",
        command=cell("kubernetes.deployment.scale-GET.deployments-stale-persistent"),
    ),
    Guard(
        name="rds-echo",
        promise="I8",
        file="adapters/aws/rds_api.py",
        old="    if found.lower() != instance.lower():\n",
        new="    if False:\n",
        command=cell("aws.rds.instance.wait-rds.DescribeDBInstances-wrong_object-persistent"),
    ),
    Guard(
        name="statuspage-echo",
        promise="I8",
        file="adapters/statuspage/api.py",
        old='    if any(each.get("page_id", page.page_id) != page.page_id for each in found):\n',
        new="    if False:\n",
        command=cell("statuspage.incident.open-statuspage.GET.unresolved-wrong_object-persistent"),
    ),
    Guard(
        name="deadline",
        promise="I11",
        file="engine/effects.py",
        old="self.clock.sleep(deadline.left_s(self.clock)))",
        new="self.clock.sleep(3600.0))",
        command=f"{WORST} -k hangs",
    ),
    Guard(
        name="read-back-within-the-deadline",
        promise="I11",
        file="engine/readback.py",
        old="SPARE = timedelta(seconds=1.5)",
        new="SPARE = timedelta(seconds=30)",
        command=f"{WORST} -k hangs",
    ),
    Guard(
        name="unforeseen-errors-stop",
        promise="I13",
        file="engine/effects.py",
        old='            return await self._unanswered(asked, permit, "bug", why)\n',
        new='            return Ending(outcome="succeeded", outputs={})\n',
        command=f"{WORST} -k nobody_foresaw",
    ),
]
