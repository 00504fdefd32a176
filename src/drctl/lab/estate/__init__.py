"""The estate, built through the same doors that anybody's infrastructure code uses."""

from drctl.lab.estate.build import build
from drctl.lab.estate.environment import Estate, environment_file, kubeconfig

__all__ = ["Estate", "build", "environment_file", "kubeconfig"]
