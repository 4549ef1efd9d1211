"""Pods run with any user id, and the service account of a compromised pod has only the permissions of every account."""

from collections.abc import Iterator

from tests.cluster.release import ROOT, Release, run

ASSIGNED_ID = "1000730000"
"""A user id that no image knows, as OpenShift assigns it; the group is then 0."""
COMPONENTS = {"api", "consumer", "kafka", "postgresql"}
PERMISSIONS_OF_EVERY_ACCOUNT = ("selfsubject", "clustertrustbundles.certificates.k8s.io")
"""Starts of resources. Since Kubernetes 1.37 every service account may read the certificates of authorities."""
PROBE_COMMAND = "test -e /var/run/secrets/kubernetes.io && echo a token || echo none"


def test_pods_with_assigned_ids_have_no_token_and_their_account_has_no_permissions(
    release: Release, other_namespace: str
) -> None:
    release.install(*assigned_ids("podSecurityContext", "kafka.podSecurityContext", "postgresql.podSecurityContext"))
    assert user_ids(release) == dict.fromkeys(COMPONENTS, f"{ASSIGNED_ID} 0")
    assert tokens(release) == dict.fromkeys(COMPONENTS, "none")
    assert accounts(release) == {release.name}
    run("kubectl", "--namespace", other_namespace, "create", "serviceaccount", "unprivileged")
    allowed = permissions(release.namespace, release.name)
    assert allowed == permissions(other_namespace, "unprivileged")
    assert all(resource.startswith(PERMISSIONS_OF_EVERY_ACCOUNT) for resource in resources(allowed)), allowed


def assigned_ids(*contexts: str) -> list[str]:
    """Return Helm's options for what OpenShift adds to pods with the values of k8s/values/openshift.yaml."""
    ids = [f"{context}.{field}={ASSIGNED_ID}" for context in contexts for field in ("runAsUser", "fsGroup")]
    return ["--values", str(ROOT / "k8s" / "values" / "openshift.yaml"), "--set", ",".join(ids)]


def user_ids(release: Release) -> dict[str, str]:
    """Return user and group id of the main containers, by component."""
    return {component: shell(release, component, "echo $(id -u) $(id -g)") for component in COMPONENTS}


def tokens(release: Release) -> dict[str, str]:
    """Return whether main containers have a token, by component."""
    return {component: shell(release, component, PROBE_COMMAND) for component in COMPONENTS}


def shell(release: Release, component: str, command: str) -> str:
    container = (min(release.pod_names(component)), "--container", component)
    return release.kubectl("exec", *container, "--", "sh", "-c", command).strip()


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
