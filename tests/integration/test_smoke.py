"""`orders smoke` with an API that requires keys."""

import json
from pathlib import Path

import pytest

from tests.kit.harness import Harness
from tests.kit.processes import Service

READ, OTHER, UNKNOWN = "r" * 20, "o" * 20, "u" * 20
TIMEOUT_SECONDS = 60.0


@pytest.fixture
def api(harness: Harness, tmp_path: Path) -> Service:
    path = tmp_path / "keys"
    path.write_text(f"read {READ}\ndead-letters {OTHER}\n")
    return harness.spawn("api", settings={**harness.settings, "ORDERS_AUTH__KEYS_FILE": str(path)}).ready()


def smoke(harness: Harness, api: Service, *options: str) -> tuple[int, list[str]]:
    """Run the command; return its exit code and its lines of output."""
    command = harness.spawn("smoke", "--url", api.url, *options, settings=harness.settings)
    return command.process.wait(TIMEOUT_SECONDS), command.log.read_text().splitlines()


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (None, "requires an API key (401 Unauthorized). Set --key-file or ORDERS_AUTH__KEYS_FILE."),
        (UNKNOWN, "rejects the API key (401 Unauthorized). Set --key-file or ORDERS_AUTH__KEYS_FILE."),
        (OTHER, "denies access (403 Forbidden). The key needs the scope read."),
    ],
    ids=["no key", "unknown key", "key of another scope"],
)
def test_a_rejected_key_fails_before_an_order_is_produced(
    harness: Harness, api: Service, tmp_path: Path, key: str | None, error: str
) -> None:
    path = tmp_path / "key"
    path.write_text(f"{key}\n")
    options = ("--key-file", str(path)) if key else ()
    assert smoke(harness, api, *options) == (1, [f"orders: the API at {api.url} {error}"])


def test_an_order_is_read_back_with_the_key_of_a_file(harness: Harness, api: Service, tmp_path: Path) -> None:
    harness.consumer()
    path = tmp_path / "key"
    path.write_text(f"{READ}\n")
    code, (line,) = smoke(harness, api, "--key-file", str(path), "--json")
    report = json.loads(line)
    assert (code, report["is_read_back"], report["topic"], report["url"]) == (0, True, harness.topic, api.url)
    assert harness.stored() == {report["order_uid"]}


@pytest.mark.parametrize("content", ["", "two words", "not-äscii", "a\x00b"])
def test_a_file_without_a_single_key_is_rejected(harness: Harness, api: Service, tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    error = f"orders: --key-file: {path} must contain only an API key"
    assert smoke(harness, api, "--key-file", str(path)) == (1, [error])


def test_an_unreadable_file_is_reported(harness: Harness, api: Service, tmp_path: Path) -> None:
    error = f"orders: --key-file: cannot read {tmp_path}: Is a directory"
    assert smoke(harness, api, "--key-file", str(tmp_path)) == (1, [error])
