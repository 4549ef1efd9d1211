"""What whoever takes over a pod of a release could ask of the cluster: no more than anybody with an account."""

from collections.abc import Iterator

from tests.cluster.release import Release, run

COMPONENTS = {"api", "consumer", "kafka", "postgresql"}
LOOK = "test -e /var/run/secrets/kubernetes.io && echo a token || echo none"


def test_whoever_takes_over_a_pod_has_no_token_and_its_account_no_rights(
    release: Release, other_namespace: str
) -> None:
    release.install()
    assert tokens(release) == dict.fromkeys(COMPONENTS, "none")
    assert accounts(release) == {release.name}
    run("kubectl", "--namespace", other_namespace, "create", "serviceaccount", "nobody")
    allowed = rights(release.namespace, release.name)
    assert allowed == rights(other_namespace, "nobody")
    assert all(resource.startswith("selfsubject") for resource in resources(allowed)), allowed


def tokens(release: Release) -> dict[str, str]:
    """Return what main containers have where a token would be, by component."""
    return {component: look(release, component) for component in COMPONENTS}


def look(release: Release, component: str) -> str:
    where = (min(release.pod_names(component)), "--container", component)
    return release.kubectl("exec", *where, "--", "sh", "-c", LOOK).strip()


def accounts(release: Release) -> set[str]:
    """Return the service accounts that the release's running pods have."""
    return {pod["spec"]["serviceAccountName"] for component in COMPONENTS for pod in release.pods(component)}


def rights(namespace: str, account: str) -> set[str]:
    """Return what the account may do in its namespace, a line for each: resource, URLs, names and verbs."""
    subject = f"--as=system:serviceaccount:{namespace}:{account}"
    told = run("kubectl", "--namespace", namespace, "auth", "can-i", "--list", "--no-headers", subject)
    return {" ".join(line.split()) for line in told.splitlines() if line.strip()}


def resources(lines: set[str]) -> Iterator[str]:
    """Yield what is no URL; of the four columns the first is empty for those."""
    assert lines
    return (line.split()[0] for line in lines if not line.startswith("["))
