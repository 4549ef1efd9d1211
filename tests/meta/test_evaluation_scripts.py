"""k8s/kind-up.sh and k8s/minikube-up.sh, with programs that only record how they are called."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
PROGRAMS = ("docker", "kind", "minikube", "kubectl", "helm", "make")
SYSTEM = ("bash", "cat", "cut", "dirname", "env", "grep", "paste", "rm", "sed", "sort", "touch")
DIGEST = f"sha256:{64 * 'a'}"
RECORDER = f"""#!/usr/bin/env bash
cd "$STATE"
echo "${{0##*/}} $*" >>calls
case "${{0##*/}} $*" in
  "docker info") [ ! -e stopped ] ;;
  "kind version -q") cat version ;;
  "kind get clusters") [ ! -e cluster ] || echo orders ;;
  "kind get nodes"*) echo orders-control-plane ;;
  "kind create cluster"*) touch cluster ;;
  "kind delete cluster"*) rm cluster ;;
  "docker container inspect "*) [ -e registry ] ;;
  "docker run "*) touch registry ;;
  "docker rm "*) rm registry ;;
  "docker network inspect "*) [ ! -e connected ] || echo orders-registry ;;
  "docker network connect "*) touch connected ;;
  "docker exec --interactive "*) cat >hosts.toml ;;
  "docker image inspect --format {{{{.Id}}}}"*) echo {DIGEST} ;;
  "docker image inspect "*) echo localhost:5001/orders@{DIGEST} ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A PATH with recording programs, whose effects are files in `state`."""

    path: Path
    state: Path

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.state / "calls").write_text("", encoding="utf-8")
        environment = {"PATH": str(self.path), "STATE": str(self.state)}
        command = [str(K8S / script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603

    def calls(self, start: str = "") -> list[str]:
        lines = (self.state / "calls").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(start)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    path, state = tmp_path / "bin", tmp_path / "state"
    path.mkdir()
    state.mkdir()
    (state / "version").write_text("0.30.0\n", encoding="utf-8")
    for name in SYSTEM:
        (path / name).symlink_to(str(shutil.which(name)))
    for name in PROGRAMS:
        (path / name).write_text(RECORDER, encoding="utf-8")
        (path / name).chmod(0o755)
    return Machine(path, state)


def test_kind_up_creates_everything_and_prints_the_addresses(machine: Machine) -> None:
    done = machine.run("kind-up.sh")
    assert done.returncode == 0, done.stderr
    assert machine.calls("kind create") == ["kind create cluster --config k8s/kind.yaml --wait 2m"]
    assert machine.calls("docker push") == ["docker push --quiet localhost:5001/orders:0.1.0"]
    assert (machine.state / "hosts.toml").read_text(encoding="utf-8") == '[host."http://orders-registry:5000"]\n'
    monitoring, orders = machine.calls("helm")
    assert "upgrade --install kube-prometheus-stack oci://" in monitoring
    assert f"--set image.repository=localhost:5001/orders --set image.digest={DIGEST} --wait" in orders
    for port in (30080, 30030, 30090):
        assert f"http://127.0.0.1:{port}" in done.stdout


def test_kind_up_can_be_repeated(machine: Machine) -> None:
    first = machine.run("kind-up.sh")
    created = machine.calls("kind create") + machine.calls("docker run") + machine.calls("docker network connect")
    second = machine.run("kind-up.sh")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert len(created) == 3
    assert machine.calls("kind create") + machine.calls("docker run") + machine.calls("docker network connect") == []
    assert len(machine.calls("helm")) == 2


def test_minikube_up_loads_each_image_under_a_new_tag(machine: Machine) -> None:
    done = machine.run("minikube-up.sh")
    assert done.returncode == 0, done.stderr
    tag = 12 * "a"
    start, load = machine.calls("minikube")
    assert start.endswith("--ports 127.0.0.1:30080:30080,127.0.0.1:30030:30030,127.0.0.1:30090:30090")
    assert load == f"minikube --profile orders image load orders:{tag}"
    assert f"--set image.tag={tag} --wait" in machine.calls("helm")[-1]


@pytest.mark.parametrize(("script", "context"), [("kind-up.sh", "kind-orders"), ("minikube-up.sh", "orders")])
def test_no_other_cluster_is_changed(machine: Machine, script: str, context: str) -> None:
    machine.run(script)
    assert len(machine.calls("helm")) == 2
    assert {call.split()[1:3] == ["--kube-context", context] for call in machine.calls("helm")} == {True}
    assert machine.calls("kubectl") == []


@pytest.mark.parametrize(("script", "program"), [("kind-up.sh", "kind"), ("minikube-up.sh", "minikube")])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_missing_program_is_named_before_anything_starts(
    machine: Machine, script: str, program: str, direction: str
) -> None:
    (machine.path / program).unlink()
    done = machine.run(script, direction)
    assert done.returncode == 2
    assert re.fullmatch(rf"{program} not found: install it \(https://\S+\)\n", done.stderr)
    assert machine.calls() == []


def test_an_engine_that_does_not_respond_is_an_error(machine: Machine) -> None:
    (machine.state / "stopped").touch()
    done = machine.run("kind-up.sh")
    assert done.returncode == 2
    assert done.stderr.startswith("cannot reach the Docker engine: start it")
    assert machine.calls() == ["docker info"]


def test_an_old_kind_is_an_error(machine: Machine) -> None:
    (machine.state / "version").write_text("0.9.0\n", encoding="utf-8")
    done = machine.run("kind-up.sh")
    assert (done.returncode, done.stderr) == (2, "kind 0.9.0 is too old: install 0.27.0 or later\n")
    assert machine.calls("kind create") == []


def test_an_unknown_argument_is_an_error(machine: Machine) -> None:
    done = machine.run("kind-up.sh", "stop")
    assert (done.returncode, done.stderr) == (2, 'unknown argument stop: use "up" (the default) or "down"\n')


def test_down_deletes_what_up_created_and_can_be_repeated(machine: Machine) -> None:
    machine.run("kind-up.sh")
    assert machine.run("kind-up.sh", "down").returncode == 0
    assert machine.calls("kind delete") == ["kind delete cluster --name orders"]
    assert machine.calls("docker rm") == ["docker rm --force --volumes orders-registry"]
    assert machine.run("kind-up.sh", "down").returncode == 0
    assert machine.calls("kind delete") + machine.calls("docker rm") == []


def test_the_node_ports_of_the_values_are_those_of_the_cluster_and_the_addresses() -> None:
    (node,) = load("kind.yaml")["nodes"]
    mapped = {each["hostPort"]: each["containerPort"] for each in node["extraPortMappings"]}
    stack = load("evaluation/kube-prometheus-stack.yaml")
    services = [load("values/evaluation.yaml")["api"], stack["prometheus"], stack["grafana"]]
    ports = {each["service"]["nodePort"] for each in services}
    assert mapped == {port: port for port in ports}
    printed = re.findall(r"http://127\.0\.0\.1:(\d+)", (K8S / "evaluation" / "common.sh").read_text(encoding="utf-8"))
    assert {int(port) for port in printed} == ports


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((K8S / name).read_text(encoding="utf-8"))
    return found
