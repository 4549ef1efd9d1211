"""Load on the API's Service from inside the cluster."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.release import Release

SOURCE = Path(__file__).with_name("load.py").read_text(encoding="utf-8")
POD = "loader"


@dataclass
class Results:
    succeeded: int = 0
    failed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Loader:
    release: Release

    @contextmanager
    def get(self) -> Iterator[Results]:
        """Request orders during the block; the results are complete after it."""
        self._create_pod()
        results = Results()
        command = (
            "kubectl",
            "--namespace",
            self.release.namespace,
            "exec",
            "--stdin",
            POD,
            "--",
            "python",
            "-c",
            SOURCE,
        )
        with subprocess.Popen(  # noqa: S603
            (*command, f"http://{self.release.name}-api"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            yield results
            output, _ = process.communicate(timeout=60)
        vars(results).update(json.loads(output))

    def _create_pod(self) -> None:
        """Create an idle pod in the release's namespace."""
        image = self.release.pods("api")[0]["spec"]["containers"][0]["image"]
        container = {
            "name": POD,
            "image": image,
            "command": ["python", "-c", "import signal; signal.pause()"],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD},
            "spec": {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0},
        }
        self.release.kubectl("apply", "--filename", "-", stdin=json.dumps(pod))
        self.release.kubectl("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=60s", within=70)
