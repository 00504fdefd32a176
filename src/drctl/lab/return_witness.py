"""The observer of the recovery region's primary, for the way back; it runs outside that region."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from drctl.lab import children
from drctl.lab.access import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from drctl.lab.estate.database import OPERATOR_USER
from drctl.lab.estate.environment import (
    DATABASE,
    EAST,
    REPLICA,
    RETURN_WITNESS_BUCKET,
    RETURN_WITNESS_KEY,
    WEST,
)
from drctl.lab.plan import POSTGRES_PORT
from drctl.lab.root import python_path
from drctl.lab.shapes import Site, Stroke

_NAME = "return-witness"


class ReturnWitness:
    """
    A second witness. Until the standby of the west is a primary it sees that it cannot write.

    It lives on when its region is lost, which harms nobody: its bucket is not there then.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it, before there is anything to see."""
        plan, secrets = self._site.plan, self._site.secrets
        host, port = plan.dns
        told = {
            "RESOLVER": f"{host}:{port}",
            "DATABASE_HOST": plan.rds_name(WEST, REPLICA),
            "DATABASE_PORT": str(POSTGRES_PORT),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": OPERATOR_USER,
            "DATABASE_PASSWORD": secrets.read(f"database_{OPERATOR_USER}"),
            "REGION": EAST,
            "S3_ENDPOINT": plan.aws_url(EAST),
            "WITNESS_BUCKET": RETURN_WITNESS_BUCKET,
            "WITNESS_KEY": RETURN_WITNESS_KEY,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }
        self._process = await children.spawn(
            [sys.executable, "-m", "drctl.lab.witness"],
            root=self._site.root.path,
            name=_NAME,
            env={**os.environ, "PYTHONPATH": python_path(), **told},
        )

    async def stop(self) -> None:
        """Ends it; safe to repeat."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            children.kill_tree(process.pid)
            await process.wait()

    def facts(self) -> Mapping[str, Any]:
        """Nothing that a builder needs."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing: the database's builder names it as the primary's witness."""
        return {}

    def strokes(self) -> Mapping[str, Stroke]:
        """Nothing of it is broken by itself."""
        return {}

    async def heal(self) -> None:
        """Nothing to heal."""
