"""Installs and inspects a release of the chart with helm and kubectl."""

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
    """Return the command's output. Raises AssertionError with the output if the command fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=within, check=False)  # noqa: S603
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def server_version() -> str:
    return str(json.loads(run("kubectl", "version", "--output", "json"))["serverVersion"]["gitVersion"])


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
        self._apply("install", options, chart)

    def upgrade(self, *options: str, chart: str = CHART) -> None:
        self._apply("upgrade", options, chart)

    def render(self, *options: str, chart: str = CHART) -> str:
        """Return the manifests without those of `helm test`, as a client renders them that cannot reach the cluster."""
        return self.helm("template", self.name, chart, "--skip-tests", "--kube-version", server_version(), *options)

    def diff(self, *options: str) -> str:
        """Return what applying the rendered objects would change, as Argo CD's server-side diff shows it."""
        server_side = ("--server-side", "--force-conflicts", "--field-manager", "argocd-controller")
        command = ("kubectl", "--namespace", self.namespace, "diff", *server_side, "--filename", "-")
        done = subprocess.run(  # noqa: S603
            command, input=self.render(*options), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout

    @property
    def rollback_option(self) -> str:
        """The option to roll back on failure. It also removes the evidence, so not every test uses it."""
        return "--atomic" if self._is_helm_3 else "--rollback-on-failure"

    @property
    def force_options(self) -> tuple[str, ...]:
        """The option to overwrite changes that were made with kubectl. Helm 3 always does."""
        return () if self._is_helm_3 else ("--force-conflicts",)

    @property
    def _is_helm_3(self) -> bool:
        return self.helm("version", "--template", "{{.Version}}").startswith("v3.")

    def _apply(self, verb: str, options: Sequence[str], chart: str) -> None:
        self.helm(verb, self.name, chart, "--wait", "--timeout", f"{INSTALL_SECONDS}s", *options)

    def uninstall(self) -> None:
        self.kubectl("delete", "job/orders-generator", "--ignore-not-found")
        self.helm("uninstall", self.name, "--wait")

    def leftovers(self) -> set[str]:
        """Return the remaining objects of the release, as Kind/name."""
        return {f"{item['kind']}/{item['metadata']['name']}" for item in self.items(KINDS)}

    def items(self, kinds: str, component: str | None = None) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/instance={self.name}"
        selector += f",app.kubernetes.io/component={component}" if component else ""
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kinds, "--selector", selector, "--output", "json")
        )["items"]
        return items

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods that are not being deleted."""
        return [pod for pod in self.items("pods", component) if "deletionTimestamp" not in pod["metadata"]]

    @property
    def image(self) -> str:
        """The image of Orders."""
        return str(self.pods("consumer")[0]["spec"]["containers"][0]["image"])

    def pod_names(self, component: str) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods(component)}

    def ready(self, component: str) -> int:
        """Return the number of ready pods of a Deployment, or 0 while it has others."""
        deployment = json.loads(self.kubectl("get", f"deployment/{self.name}-{component}", "--output", "json"))
        ready, total = (deployment["status"].get(count, 0) for count in ("readyReplicas", "replicas"))
        return int(ready) if ready == total else 0

    def restarts(self, component: str) -> int:
        """Return the number of restarts of the component's containers, without init containers."""
        return sum(each["restartCount"] for pod in self.pods(component) for each in pod["status"]["containerStatuses"])

    def wait_for_rollout(self, component: str, kind: str = "deployment") -> None:
        self.kubectl("rollout", "status", f"{kind}/{self.name}-{component}", "--timeout=180s", within=200)

    def restart(self, component: str) -> None:
        """Restart the pods and block until the old ones are deleted; they serve for a while after the rollout."""
        old = [f"pod/{name}" for name in self.pod_names(component)]
        self.kubectl("rollout", "restart", f"deployment/{self.name}-{component}")
        self.wait_for_rollout(component)
        self.kubectl("wait", *old, "--for=delete", "--timeout=60s", within=70)

    def scale(self, component: str, replicas: int, kind: str = "deployment") -> None:
        self.kubectl("scale", f"{kind}/{self.name}-{component}", f"--replicas={replicas}")
        self.wait_for_rollout(component, kind)

    def kill(self, component: str) -> None:
        """Kill a pod without a grace period and block until its successor is ready."""
        pod = min(self.pod_names(component))
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
        self.wait_for_rollout(component, "statefulset" if component in {"kafka", "postgresql"} else "deployment")

    def generate(self, count: int, *options: str) -> None:
        """Start the generator as the Job of k8s/generator.yaml."""
        job = yaml.safe_load((ROOT / "k8s" / "generator.yaml").read_text(encoding="utf-8"))
        container = job["spec"]["template"]["spec"]["containers"][0]
        container["args"] = ["generate", "--count", str(count), *MIX, *options]
        container["image"] = self.image
        container["envFrom"][0]["configMapRef"]["name"] = self.name
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(job))

    def wait_for_generator(self, within: float = 300.0) -> None:
        wait = ("--for=condition=complete", f"--timeout={within:.0f}s")
        self.kubectl("wait", "job/orders-generator", *wait, within=within + 10)

    def orders(self, *arguments: str, within: float = 300.0) -> str:
        """Run an orders command in a consumer's pod."""
        where = (min(self.pod_names("consumer")), "--container", "consumer")
        return self.kubectl("exec", *where, "--", "orders", *arguments, within=within)

    def psql(self, statements: str, database: str = "orders") -> str:
        """Execute statements as superuser of the chart's PostgreSQL. Return the rows without headers."""
        command = ("psql", "--username", "postgres", "--dbname", database, "--no-psqlrc", "--quiet")
        options = ("--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1")
        return self.kubectl(
            "exec", "--stdin", f"{self.name}-postgresql-0", "--", *command, *options, stdin=statements
        ).strip()

    def run_example(self, example: str, **values: str) -> str:
        """Create the objects of k8s/`example`, of which the last is a Job, wait for its success, and return its log."""
        manifests = (ROOT / "k8s" / example).read_text(encoding="utf-8")
        for name, value in values.items():
            manifests = manifests.replace(name, value)
        *_, job = self.kubectl("create", "--filename", "-", "--output", "name", stdin=manifests).split()
        self.kubectl("wait", job, "--for=condition=complete", "--timeout=120s", within=130)
        return self.kubectl("logs", job)

    def check(self, count: int, *options: str) -> None:
        """Verify tables and dead letters: no generated message lost, duplicated or stored in a wrong version."""
        self.orders("check", "--count", str(count), *MIX, "--wait", "120", *options)

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """Yield a local port that is forwarded to the Service's."""
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
                line = process.stdout.readline()
                found = re.search(r":(\d+) ->", line)
                assert found, f"unexpected output of kubectl port-forward: {line!r}"
                yield int(found[1])
            finally:
                process.terminate()

    def diagnostics(self) -> str:
        """Return the namespace's objects, events and last log lines."""
        queries = (("get", "all,pvc"), ("get", "events", "--sort-by=.lastTimestamp"))
        logs = (
            "logs",
            "--selector",
            f"app.kubernetes.io/instance={self.name}",
            "--all-containers",
            "--prefix",
            "--tail=15",
        )
        return "\n".join(self._output(*query) for query in (*queries, logs))

    def _output(self, *arguments: str) -> str:
        command = ("kubectl", "--namespace", self.namespace, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        return done.stdout + done.stderr
