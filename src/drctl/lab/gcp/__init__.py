"""
A Google Cloud project to be tried on, since no emulator has these calls: operations that take
their time, versions that are compared, real keys and tokens, real databases and real names.
"""

from drctl.lab.gcp.cloud import Exchange, GcpCloud
from drctl.lab.gcp.instances import Instance

__all__ = ["Exchange", "GcpCloud", "Instance"]
