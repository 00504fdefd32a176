"""The same no-op steps, written for drctl, Chaos Toolkit and Ansible."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"

_RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: {name}, title: Steps that do nothing, owner: bench, scenario: bench}}
objectives: {{rto: 1h, rpo: 1h, clock: {{starts_at: run, stops_after: [s{last}]}}}}
inputs: {{}}
targets: {{}}
steps:
"""
_STEP = "  - {{id: s{number}, uses: bench.nothing.apply, {needs}estimate: 1s, timeout: 10s}}\n"
_ENVIRONMENT = """\
apiVersion: drctl/v1
kind: Environment
metadata: {name: bench, title: Nothing at all}
world: lab
protected: false
connections: {}
targets: {}
"""


@dataclass(frozen=True)
class NoOperations:
    """Files of *steps* no-op steps in a folder; made by `write`."""

    folder: Path
    steps: int

    @property
    def environment(self) -> Path:
        return self.folder / "environment.yaml"

    def runbook(self, shape: str) -> Path:
        """*shape*: ``sequence`` or ``parallel``."""
        return self.folder / f"{shape}.yaml"

    @property
    def experiment(self) -> Path:
        return self.folder / "experiment.json"

    def playbook(self, task: str) -> Path:
        """*task*: ``meta`` or ``debug``."""
        return self.folder / f"{task}.yaml"

    @property
    def variables(self) -> Mapping[str, str]:
        """What makes the plug-in installed for ``drctl``."""
        return {
            "PYTHONPATH": f"{SOURCE}:{HERE / 'plugin'}:{self.folder / 'installed'}",
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def write(self) -> None:
        """Changes: the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment.write_text(_ENVIRONMENT)
        for shape, needs in (("sequence", ""), ("parallel", "needs: [], ")):
            steps = (_STEP.format(number=n, needs=needs) for n in range(1, self.steps + 1))
            head = _RUNBOOK.format(name=f"nothing-{shape}", last=self.steps)
            self.runbook(shape).write_text(head + "".join(steps))
        self._install()
        self._write_peers()

    def _install(self) -> None:
        """What pip leaves behind for a package with an entry point, without pip."""
        info = self.folder / "installed" / "drctl_bench_noop-0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: drctl-bench-noop\nVersion: 0\n"
        )
        (info / "entry_points.txt").write_text(
            "[drctl.actions]\nbench = drctl_bench_noop:ADAPTER\n"
        )

    def _write_peers(self) -> None:
        (self.folder / "chaos_nothing.py").write_text("def nothing():\n    return None\n")
        provider = {"type": "python", "module": "chaos_nothing", "func": "nothing"}
        method = [
            {"type": "action", "name": f"s{number}", "provider": provider}
            for number in range(1, self.steps + 1)
        ]
        experiment = {
            "version": "1.0.0",
            "title": "nothing",
            "description": "steps that do nothing",
            "method": method,
            "rollbacks": [],
        }
        self.experiment.write_text(json.dumps(experiment))
        play = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        for name, task in (("meta", "meta: noop"), ("debug", "debug: {msg: nothing}")):
            tasks = "".join(
                f"    - {{name: s{number}, ansible.builtin.{task}}}\n"
                for number in range(1, self.steps + 1)
            )
            self.playbook(name).write_text(play + tasks)
