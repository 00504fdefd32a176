"""Hands on the lab's estate: through its vendors' APIs, as anybody would break it."""

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import boto3
import dns.exception
import dns.message
import dns.query
import yaml
from botocore.config import Config
from e2e_lab import Lab
from kubernetes import client

from drctl.lab.access import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from drctl.lab.plan import PUBLIC_NAME, AddressPlan

EAST, WEST = "us-east-1", "us-west-2"
APP = "healing-guard"
RUNBOOKS = Path(__file__).parent.parent.parent.parent / "runbooks"
ASK = 4
INCIDENT = "inc-20261122-001"


class Hands:
    """The estate, the command, and what a defect needs to be made and taken back."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.plan = AddressPlan(int(lab.env["DRCTL_LAB_NET"]))
        self.kept: dict[str, object] = {}
        self.asked_again = 0
        self.environment = lab.root / "environment.yaml"

    def aws(self, service: str, region: str = EAST):
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.plan.aws_url(region),
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def kubernetes(self, region: str = WEST) -> client.ApiClient:
        configuration = client.Configuration()
        configuration.host = self.plan.kubernetes_url(region)
        configuration.ssl_ca_cert = str(self.lab.root / "kubernetes" / region / "ca.crt")
        token = (self.lab.root / "secrets" / f"kubernetes_token_{region}").read_text()
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        configuration.retries = False
        return client.ApiClient(configuration)

    def core(self, region: str = WEST):
        return client.CoreV1Api(self.kubernetes(region))

    def apps(self, region: str = WEST):
        return client.AppsV1Api(self.kubernetes(region))

    def sql(self, statement: str) -> None:
        """As the operator, on the primary."""
        import asyncio

        import asyncpg

        found = yaml.safe_load(self.environment.read_text())["targets"]["db.primary"]["sql"]
        query = dns.message.make_query(found["host"], "A")
        host, port = self.plan.dns
        [answer] = dns.query.udp(query, host, port=port, timeout=3).answer
        password = Path(found["password"].removeprefix("file:")).read_text()

        async def run() -> None:
            connection = await asyncpg.connect(
                host=answer[0].to_text(), database=found["database"], user=found["user"],
                password=password, ssl=False, timeout=5,
            )  # fmt: skip
            await connection.execute(statement)
            await connection.close()

        asyncio.run(run())

    def edited(self, edit) -> Path:
        """A copy of the lab's environment that somebody has edited."""
        document = yaml.safe_load(self.environment.read_text())
        edit(document)
        path = self.folder / f"environment-{time.monotonic_ns()}.yaml"
        path.write_text(json.dumps(document))
        return path

    # What drctl says.

    def ready(self, scenario: str, environment: str, *more: str) -> tuple[int, dict]:
        """
        Asks again, as it says itself, while something did not answer in time: on a machine that is
        busy with other tests that says nothing about the estate.
        """
        words = ("ready", "-e", environment, "--scenario", scenario, "-o", "json", *more)
        for _ in range(ASK):
            told = self.lab.drctl(*words, timeout_s=300)
            assert told.stdout, told.stderr
            seen = json.loads(told.stdout)["scenarios"][0]
            if not any(_is_silence(one) for one in seen["judged"]):
                break
            self.asked_again += 1
        return told.returncode, seen

    def failover(self, environment: str) -> tuple[int, str]:
        """A whole failover, that is expected to be refused before it changes anything."""
        told = self.lab.drctl(
            "failover",
            "region",
            "-e",
            environment,
            "--confirm",
            WEST,
            "--no-input",
            timeout_s=300,
        )
        return told.returncode, told.stdout + told.stderr

    def run_alone(self, document: dict, environment: str) -> tuple[int, str, dict]:
        """Runs a runbook, and gives what its journal says of each step."""
        path = self.folder / f"alone-{time.monotonic_ns()}.yaml"
        path.write_text(json.dumps(document))
        words = ("-i", f"incident={INCIDENT}") if "incident" in document.get("inputs", {}) else ()
        told = self.lab.drctl(
            "run", str(path), "-e", environment, *words, "--no-input", timeout_s=300
        )
        shown = told.stdout + told.stderr
        try:
            events = self.lab.events()
        except (ValueError, FileNotFoundError):
            return told.returncode, shown, {}
        finished = {one["step"]: one for one in events if one["type"] == "step_finished"}
        return told.returncode, shown, finished

    def forget_leases(self) -> None:
        """What a failed run holds, and the cool-down: another defect's run starts anew."""
        for region, bucket in ((WEST, "healing-guard-leases"), (EAST, "healing-guard-leases-e")):
            with suppress(Exception):  # only one defect makes the second bucket
                self.aws("s3", region).delete_object(Bucket=bucket, Key="lab.json")


def _is_silence(one: dict) -> bool:
    """No defect here makes anything silent; what is named after all the asking counts."""
    late = ("no answer", "no time left", "in time", "timeout")
    said_so = any(word in one["why"] for word in late)
    is_good = one["standing"] in {"holds", "unproven"}
    return one["standing"] == "cannot tell" or (said_so and not is_good)


def step_alone(name: str, *, runbook: str = "region-failover", timeout: str = "12s", **changed):
    """A runbook of one step of a shipped one, as it is there, with a short patience."""
    whole = yaml.safe_load((RUNBOOKS / f"{runbook}.yaml").read_text())
    [step] = [one for one in whole["steps"] if one["id"] == name]
    kept = {key: value for key, value in step.items() if key in {"id", "uses", "target", "with"}}
    kept |= {"timeout": timeout, "estimate": "1s", "on_failure": "stop", "needs": []} | changed
    alias = kept.get("target")
    return {
        "apiVersion": "drctl/v1",
        "kind": "Runbook",
        "metadata": {"name": f"only-{name.replace('_', '-')}", "title": f"Only {name}",
                     "owner": "tests", "scenario": "step-alone"},
        "objectives": {"rto": "15m", "rpo": "5m",
                       "clock": {"starts_at": "run", "stops_after": [name]}},
        "inputs": {key: value for key, value in whole["inputs"].items() if key != "incident"},
        "targets": {alias: whole["targets"][alias]},
        "steps": [kept],
    }  # fmt: skip


class Resolver:
    """A resolver as customers have one: it keeps an answer for as long as its TTL says."""

    def __init__(self, address: tuple[str, int], upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._kept: dict[bytes, tuple[float, bytes]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                packet, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            # A nameserver that is slow to answer is asked again by whoever asked us.
            with suppress(dns.exception.DNSException, OSError):
                query = dns.message.from_wire(packet)
                kept = self._answer(query)
                self._socket.sendto(struct.pack("!H", query.id) + kept[2:], sender)

    def _answer(self, query) -> bytes:
        key = query.question[0].to_text().encode()
        until, kept = self._kept.get(key, (0.0, b""))
        if time.monotonic() > until:
            host, port = self._upstream
            asked = dns.message.make_query(*_question(query))
            answer = dns.query.udp(asked, host, port=port, timeout=2)
            kept = answer.to_wire()
            ttl = min((one.ttl for one in answer.answer), default=0)
            self._kept[key] = (time.monotonic() + ttl, kept)
        return kept


def _question(query):
    [asked] = query.question
    return asked.name, asked.rdtype


def public_record(hands: Hands, role: str) -> tuple[str, dict]:
    """Zone id and the failover record of the public name with that role."""
    route53 = hands.aws("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    [found] = [one for one in records if one["Name"].rstrip(".") == PUBLIC_NAME
               and one.get("Failover") == role]  # fmt: skip
    return zone, found


def upsert(hands: Hands, zone: str, record: dict) -> None:
    route53 = hands.aws("route53")
    change = route53.change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
    )["ChangeInfo"]["Id"]
    until(lambda: route53.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC")


def until(holds, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not become so in time"
        time.sleep(0.2)


__all__ = ["APP", "EAST", "WEST", "Hands", "Resolver", "public_record", "step_alone", "until",
           "upsert"]  # fmt: skip
