"""The service account of a compromised pod has only the permissions of every account."""

from collections.abc import Iterator

from tests.cluster.release import Release, run

COMPONENTS = {"api", "consumer", "kafka", "postgresql"}
PROBE_COMMAND = "test -e /var/run/secrets/kubernetes.io && echo a token || echo none"


def test_pods_have_no_token_and_their_account_has_no_permissions(release: Release, other_namespace: str) -> None:
    release.install()
    assert tokens(release) == dict.fromkeys(COMPONENTS, "none")
    assert accounts(release) == {release.name}
    run("kubectl", "--namespace", other_namespace, "create", "serviceaccount", "unprivileged")
    allowed = permissions(release.namespace, release.name)
    assert allowed == permissions(other_namespace, "unprivileged")
    assert all(resource.startswith("selfsubject") for resource in resources(allowed)), allowed


def tokens(release: Release) -> dict[str, str]:
    """Return whether main containers have a token, by component."""
    return {component: find_token(release, component) for component in COMPONENTS}


def find_token(release: Release, component: str) -> str:
    container = (min(release.pod_names(component)), "--container", component)
    return release.kubectl("exec", *container, "--", "sh", "-c", PROBE_COMMAND).strip()


def accounts(release: Release) -> set[str]:
    """Return the service accounts of the release's running pods."""
    return {pod["spec"]["serviceAccountName"] for component in COMPONENTS for pod in release.pods(component)}


def permissions(namespace: str, account: str) -> set[str]:
    """Return the account's permissions in its namespace, as lines of resource, URLs, names and verbs."""
    subject = f"--as=system:serviceaccount:{namespace}:{account}"
    output = run("kubectl", "--namespace", namespace, "auth", "can-i", "--list", "--no-headers", subject)
    return {" ".join(line.split()) for line in output.splitlines() if line.strip()}


def resources(lines: set[str]) -> Iterator[str]:
    """Yield the resources; lines for URLs have an empty first column."""
    assert lines
    return (line.split()[0] for line in lines if not line.startswith("["))
