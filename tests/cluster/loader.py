"""Load on the API from inside the cluster, through its Service or an ingress controller."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.pods import create_pod
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
    address: str = ""
    """Host and port of the requests. Empty: the API's Service."""
    host: str = ""
    """Their `Host` header. Empty: the address."""
    pause_seconds: float = 0.02
    """Between two requests of a client."""

    @contextmanager
    def get(self) -> Iterator[Results]:
        """Request orders during the block; the results are complete after it."""
        create_pod(self.release.namespace, POD, self.release.image)
        results = Results()
        address = self.address or f"{self.release.name}-api"
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
            f"http://{address}",
            self.host or address,
            str(self.pause_seconds),
        )
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            yield results
            output, _ = process.communicate(timeout=60)
        vars(results).update(json.loads(output))
