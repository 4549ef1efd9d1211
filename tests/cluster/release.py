"""A release of the chart in a namespace of its own, as someone with kubectl and helm sees it."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "chart")
INSTALL_SECONDS = 300
KINDS = "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,ingresses,networkpolicies,poddisruptionbudgets"
MIX = ("--seed", "7", "--until", "2025-01-01T00:00:00Z", "--invalid", "0.02", "--duplicates", "0.05", "--stale", "0.02")


def run(*command: str, stdin: str | None = None, within: float = 60.0) -> str:
    """Return what the command prints; AssertionError with all of it where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=within, check=False)  # noqa: S603
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Release:
    helm_binary: str
    namespace: str
    name: str = "orders"

    def helm(self, *arguments: str, within: float = INSTALL_SECONDS + 30) -> str:
        return run(self.helm_binary, "--namespace", self.namespace, *arguments, within=within)

    def kubectl(self, *arguments: str, stdin: str | None = None, within: float = 60.0) -> str:
        return run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin, within=within)

    def install(self, *options: str, chart: str = CHART) -> None:
        self._rolled_out("install", options, chart)

    def upgrade(self, *options: str, chart: str = CHART) -> None:
        self._rolled_out("upgrade", options, chart)

    @property
    def undone(self) -> str:
        """The option by which this Helm undoes what fails, and with it what would tell why: not for every test."""
        return "--atomic" if self._is_third else "--rollback-on-failure"

    @property
    def overruling(self) -> tuple[str, ...]:
        """The option by which this Helm takes back what kubectl has changed; Helm 3 asks nobody."""
        return () if self._is_third else ("--force-conflicts",)

    @property
    def _is_third(self) -> bool:
        return self.helm("version", "--template", "{{.Version}}").startswith("v3.")

    def _rolled_out(self, verb: str, options: Sequence[str], chart: str) -> None:
        self.helm(verb, self.name, chart, "--wait", "--timeout", f"{INSTALL_SECONDS}s", *options)

    def uninstall(self) -> None:
        self.kubectl("delete", "job/orders-generator", "--ignore-not-found")
        self.helm("uninstall", self.name, "--wait")

    def leftovers(self) -> set[str]:
        """Return what is still there of the release, as Kind/name."""
        return {f"{item['kind']}/{item['metadata']['name']}" for item in self.items(KINDS)}

    def items(self, kinds: str, component: str | None = None) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/instance={self.name}"
        selector += f",app.kubernetes.io/component={component}" if component else ""
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kinds, "--selector", selector, "--output", "json")
        )["items"]
        return items

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return those that are not going."""
        return [pod for pod in self.items("pods", component) if "deletionTimestamp" not in pod["metadata"]]

    def pod_names(self, component: str) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods(component)}

    def restarts(self, component: str) -> int:
        """Return how often main containers of the component were restarted."""
        return sum(each["restartCount"] for pod in self.pods(component) for each in pod["status"]["containerStatuses"])

    def rolled_out(self, component: str, kind: str = "deployment") -> None:
        self.kubectl("rollout", "status", f"{kind}/{self.name}-{component}", "--timeout=180s", within=200)

    def restart(self, component: str) -> None:
        """Block until the old pods have gone: for a while after the rollout they still drain and answer."""
        old = [f"pod/{name}" for name in self.pod_names(component)]
        self.kubectl("rollout", "restart", f"deployment/{self.name}-{component}")
        self.rolled_out(component)
        self.kubectl("wait", *old, "--for=delete", "--timeout=60s", within=70)

    def scale(self, component: str, replicas: int, kind: str = "deployment") -> None:
        self.kubectl("scale", f"{kind}/{self.name}-{component}", f"--replicas={replicas}")
        self.rolled_out(component, kind)

    def kill(self, component: str) -> None:
        """Kill a pod without notice and block until its successor is ready."""
        pod = min(self.pod_names(component))
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
        self.rolled_out(component, "statefulset" if component in {"kafka", "postgresql"} else "deployment")

    def generate(self, count: int, *options: str) -> None:
        """Start the generator as the Job of k8s/generator.yaml."""
        job = yaml.safe_load((ROOT / "k8s" / "generator.yaml").read_text(encoding="utf-8"))
        container = job["spec"]["template"]["spec"]["containers"][0]
        container["args"] = ["generate", "--count", str(count), *MIX, *options]
        container["image"] = self.pods("consumer")[0]["spec"]["containers"][0]["image"]
        container["envFrom"][0]["configMapRef"]["name"] = self.name
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(job))

    def generated(self, within: float = 300.0) -> None:
        wait = ("--for=condition=complete", f"--timeout={within:.0f}s")
        self.kubectl("wait", "job/orders-generator", *wait, within=within + 10)

    def orders(self, *arguments: str, within: float = 300.0) -> str:
        """Run an orders command in the consumer's pod."""
        where = (f"deployment/{self.name}-consumer", "--container", "consumer")
        return self.kubectl("exec", *where, "--", "orders", *arguments, within=within)

    def check(self, count: int, *options: str) -> None:
        """Hold tables and dead letters against what was generated: nothing lost, doubled, or in a wrong version."""
        self.orders("check", "--count", str(count), *MIX, "--wait", "120", *options)

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """Yield the local port that leads to the Service's."""
        command = (
            "kubectl",
            "--namespace",
            self.namespace,
            "port-forward",
            f"service/{self.name}-{service}",
            f":{port}",
        )
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            try:
                assert process.stdout
                told = process.stdout.readline()
                found = re.search(r":(\d+) ->", told)
                assert found, f"port-forward said {told!r}"
                yield int(found[1])
            finally:
                process.terminate()

    def told(self) -> str:
        """What someone looks at first when it doesn't work."""
        looks = (("get", "all,pvc"), ("get", "events", "--sort-by=.lastTimestamp"))
        logs = (
            "logs",
            "--selector",
            f"app.kubernetes.io/instance={self.name}",
            "--all-containers",
            "--prefix",
            "--tail=15",
        )
        return "\n".join(self._look(*look) for look in (*looks, logs))

    def _look(self, *arguments: str) -> str:
        command = ("kubectl", "--namespace", self.namespace, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        return done.stdout + done.stderr
