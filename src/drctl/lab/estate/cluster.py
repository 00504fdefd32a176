"""The estate's Kubernetes part, built through the official client."""

import sys
from collections.abc import Mapping
from typing import Any

from drctl.lab.access import Secrets
from drctl.lab.estate.aws import wait_until
from drctl.lab.estate.database import APPLICATION_USER
from drctl.lab.estate.environment import APPLICATION, DATABASE, cluster_token
from drctl.lab.plan import POD_PORT, POSTGRES_PORT, AddressPlan
from drctl.lab.root import python_path

_TIMEOUT_S = 10.0
SECRET = "healing-guard-db"


class Clusters:
    """The lab's clusters, each through its own server and token."""

    def __init__(
        self,
        plan: AddressPlan,
        secrets: Secrets,
        authorities: dict[str, str],
        application: Mapping[str, str],
    ) -> None:
        """
        Args:
            plan: Where the lab listens.
            secrets: Passwords and tokens, all there already.
            authorities: Region to the file of the authority that its API server is trusted by.
            application: What a shape's parts tell the application, as variables.
        """
        self._application = application
        self._plan = plan
        self._secrets = secrets
        self._authorities = authorities

    def deploy(self, region: str, *, replicas: int, database_host: str) -> None:
        """Makes the namespace, the database secret and the Deployment; does not wait."""
        from kubernetes import client

        with self.api(region) as api:
            # Any: the client turns plain documents into its own models.
            core: Any = client.CoreV1Api(api)
            apps: Any = client.AppsV1Api(api)
            namespace = {"metadata": {"name": APPLICATION}}
            core.create_namespace(namespace, _request_timeout=_TIMEOUT_S)
            secret = self._secret(database_host)
            core.create_namespaced_secret(APPLICATION, secret, _request_timeout=_TIMEOUT_S)
            deployment = self._deployment(region, replicas=replicas)
            apps.create_namespaced_deployment(APPLICATION, deployment, _request_timeout=_TIMEOUT_S)

    def wait_ready(self, region: str) -> None:
        """
        Waits until every replica is available.

        Raises:
            TimeoutError: They are not.
        """
        from kubernetes import client

        with self.api(region) as api:
            apps: Any = client.AppsV1Api(api)

            def is_available() -> bool:
                found = apps.read_namespaced_deployment(
                    APPLICATION, APPLICATION, _request_timeout=_TIMEOUT_S
                )
                return bool(found.status.available_replicas == found.spec.replicas)

            wait_until(is_available, f"the pods of {region} are available")

    def uid(self, region: str) -> str:
        """The UID of the namespace kube-system, which names the cluster."""
        from kubernetes import client

        with self.api(region) as api:
            core: Any = client.CoreV1Api(api)
            return str(core.read_namespace("kube-system", _request_timeout=_TIMEOUT_S).metadata.uid)

    def api(self, region: str) -> Any:
        """An API client of a region's cluster; use it as a context."""
        from kubernetes import client

        configuration = client.Configuration()
        configuration.host = self._plan.kubernetes_url(region)
        configuration.ssl_ca_cert = self._authorities[region]
        configuration.api_key = {"authorization": self._secrets.read(cluster_token(region))}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        configuration.retries = False
        return client.ApiClient(configuration)

    def _secret(self, database_host: str) -> dict[str, Any]:
        return {
            "metadata": {"name": SECRET},
            "stringData": {
                "host": database_host,
                "port": str(POSTGRES_PORT),
                "user": APPLICATION_USER,
                "password": self._secrets.read(f"database_{APPLICATION_USER}"),
                "database": DATABASE,
            },
        }

    def _deployment(self, region: str, *, replicas: int) -> dict[str, Any]:
        labels = {"app": APPLICATION}
        dns_host, dns_port = self._plan.dns
        plain = {
            "PORT": str(POD_PORT),
            "VERSION": "1.0.0",
            "REGION": region,
            "RESOLVER": f"{dns_host}:{dns_port}",
            "PYTHONPATH": python_path(),
            **self._application,
        }
        secret = {
            "DATABASE_HOST": "host",
            "DATABASE_PORT": "port",
            "DATABASE_NAME": "database",
            "DATABASE_USER": "user",
            "DATABASE_PASSWORD": "password",
        }
        container = {
            "name": APPLICATION,
            "image": f"registry.example/{APPLICATION}:1.0.0",
            "command": [sys.executable, "-m", "drctl.lab.app"],
            "ports": [{"containerPort": POD_PORT}],
            "env": [
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                *({"name": name, "value": value} for name, value in plain.items()),
                *(
                    {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
                    for name, key in secret.items()
                ),
            ],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": POD_PORT},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
        }
        return {
            "metadata": {"name": APPLICATION, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
                },
            },
        }
