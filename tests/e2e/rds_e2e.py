"""What the RDS runbooks' end-to-end tests share: SQL as the application, a gate, a look at RDS."""

import asyncio
import time

INCIDENT = "incident=inc-20261122-001"
DATABASE, APPLICATION = "healing_guard", "healing_guard"


def root(net):
    from drctl.lab.root import LabRoot

    return LabRoot.of(net)


def sql(net, host, statement):
    """Runs a statement as the application does, through the endpoint's name."""
    import asyncpg

    from drctl.lab.access import Secrets
    from drctl.lab.lookup import look_up
    from drctl.lab.plan import AddressPlan

    async def work():
        found = await look_up(host, AddressPlan(net).dns, timeout_s=5)
        session = await asyncpg.connect(
            host=found.addresses[0],
            user=APPLICATION,
            database=DATABASE,
            password=Secrets(root(net).secrets).read("database_healing_guard"),
            ssl=False,
            timeout=5,
        )
        try:
            return [tuple(row) for row in await session.fetch(statement)]
        finally:
            await session.close()

    return asyncio.run(work())


def rds(net, region):
    """A client that knows nothing of drctl."""
    import boto3

    from drctl.lab.access import ACCESS_KEY_ID, SECRET_ACCESS_KEY
    from drctl.lab.plan import AddressPlan

    return boto3.client(
        "rds",
        region_name=region,
        endpoint_url=AddressPlan(net).aws_url(region),
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )


def described(net, region, instance):
    [found] = rds(net, region).describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    return found


def host_of(net, region, instance):
    return described(net, region, instance)["Endpoint"]["Address"]


def traffic(lab, seconds):
    assert lab.drctl("lab", "traffic").returncode == 0
    time.sleep(seconds)


def run(lab, *words, gates=("go",), expected=0, timeout_s=240):
    """Runs a runbook with a commander who says go at each gate; returns the finished steps."""
    before = lab.runs()
    process = lab.start("run", *words, "-e", "lab", "--no-input")
    deadline = time.monotonic() + timeout_s
    for gate in gates:
        while time.monotonic() < deadline and process.poll() is None:
            if lab.runs() != before and said_go(lab, gate):
                break
            time.sleep(0.3)
    shown, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == expected, shown
    return {one["step"]: one for one in lab.events() if one["type"] == "step_finished"}


def said_go(lab, gate):
    opened = any(one["type"] == "gate_opened" and one["gate"] == gate for one in lab.events())
    if not opened:
        return False
    return lab.drctl("approve", "latest", gate, "--reason", "test").returncode == 0


def verdict(lab):
    """What the independent client saw, beside what the latest run says, with every promise."""
    time.sleep(1.5)
    lab.drctl("lab", "traffic", "--stop")
    found = lab.verdict(after_s=0)
    assert found["promises"]["broken"] == 0, found
    return found
