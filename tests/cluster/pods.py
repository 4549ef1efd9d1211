"""Pods that tests add to a namespace."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.release import run

NO_LABELS: Mapping[str, str] = {}
WAIT_FOR_EVER = ("python", "-c", "import signal; signal.pause()")


def create_pod(
    namespace: str, name: str, image: str, labels: Mapping[str, str] = NO_LABELS, command: Sequence[str] = WAIT_FOR_EVER
) -> dict[str, Any]:
    """Create a pod, block until it is ready, and return it."""
    kubectl = ("kubectl", "--namespace", namespace)
    run(*kubectl, "apply", "--filename", "-", stdin=json.dumps(manifest(name, image, labels, command)))
    run(*kubectl, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s", within=70)
    pod: dict[str, Any] = json.loads(run(*kubectl, "get", f"pod/{name}", "--output", "json"))
    return pod


def manifest(name: str, image: str, labels: Mapping[str, str], command: Sequence[str]) -> dict[str, Any]:
    container = {
        "name": name,
        "image": image,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0},
    }
