"""What the wheel holds, beside the packages that are installed, is all: from any folder every command starts."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import psycopg
import pytest

from service import main

ROOT = Path(__file__).parents[2]
OF_A_CHECKOUT = {"demo": "pip install -e '.[demo]'", "bench": "make bench"}
RUN = "import sys; sys.path[:0] = sys.argv[1:3]; from service.main import main; sys.exit(main(sys.argv[3:]))"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what the wheel holds."""
    built, unpacked = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
    subprocess.run(  # noqa: S603 our own project
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (archive,) = built.glob("*.whl")
    with zipfile.ZipFile(archive) as content:
        content.extractall(unpacked)
    return unpacked


def orders(wheel: Path, cwd: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command without `site`, whose .pth files would lead to the checkout."""
    command = [sys.executable, "-S", "-P", "-c", RUN, str(wheel), sysconfig.get_path("purelib"), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "PYTHON"))}
    return subprocess.run(  # noqa: S603 our own program
        command, cwd=cwd, env=environment | settings, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", [name for name in main.COMMANDS if name not in OF_A_CHECKOUT])
def test_every_command_tells_its_usage(command: str, wheel: Path, tmp_path: Path) -> None:
    told = orders(wheel, tmp_path, command, "--help")
    assert told.returncode == 0, told.stderr
    assert f"usage: orders {command}" in told.stdout


@pytest.mark.parametrize(("command", "instead"), OF_A_CHECKOUT.items())
def test_a_command_that_pods_do_not_run_says_where_it_is(
    command: str, instead: str, wheel: Path, tmp_path: Path
) -> None:
    told = orders(wheel, tmp_path, command)
    assert (told.returncode, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith(f"orders: `orders {command}` ")
    assert instead in line


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    folders = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert folders == {"service", "generator", "migrations"}


def test_the_wheel_brings_its_migrations(wheel: Path, tmp_path: Path, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    migrated = orders(wheel, tmp_path, "migrate", ORDERS_POSTGRES__DSN=database, ORDERS_KAFKA__CREATE_TOPICS="false")
    assert migrated.returncode == 0, migrated.stderr
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_the_wheel_brings_the_schema_of_the_document(wheel: Path) -> None:
    assert (wheel / "service/order.schema.json").read_text() == (ROOT / "docs/order.schema.json").read_text()


def test_the_wheel_brings_the_script_of_the_roles(wheel: Path) -> None:
    assert (wheel / "migrations/roles.sql").read_text() == (ROOT / "chart/files/roles.sql").read_text()


def test_the_wheel_brings_every_file_of_its_packages(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT)
        for package in ("service", "generator", "migrations")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert expected <= {path.relative_to(wheel) for path in wheel.rglob("*")}
