"""With only the wheel and its dependencies, every command starts in any folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import psycopg
import pytest

from service.command_line import COMMANDS

ROOT = Path(__file__).parents[2]
CHECKOUT_COMMANDS = {"demo": "pip install -e '.[demo]'", "bench": "make bench"}
RUN = "import sys; sys.path[:0] = sys.argv[1:3]; from service.main import main; sys.exit(main(sys.argv[3:]))"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of the wheel."""
    dist, unpacked = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
    subprocess.run(  # noqa: S603 - a fixed program
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (archive,) = dist.glob("*.whl")
    with zipfile.ZipFile(archive) as content:
        content.extractall(unpacked)
    return unpacked


def orders(wheel: Path, cwd: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command without `site`, whose .pth files would import the checkout."""
    command = [sys.executable, "-S", "-P", "-c", RUN, str(wheel), sysconfig.get_path("purelib"), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "PYTHON"))}
    return subprocess.run(  # noqa: S603 - a fixed program
        command, cwd=cwd, env=environment | settings, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in CHECKOUT_COMMANDS])
def test_every_command_prints_its_usage(command: str, wheel: Path, tmp_path: Path) -> None:
    done = orders(wheel, tmp_path, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: orders {command}" in done.stdout


@pytest.mark.parametrize(("command", "instead"), CHECKOUT_COMMANDS.items())
def test_a_command_outside_the_wheel_names_how_to_run_it(
    command: str, instead: str, wheel: Path, tmp_path: Path
) -> None:
    done = orders(wheel, tmp_path, command)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"orders: `orders {command}` ")
    assert instead in line


def test_the_wheel_contains_three_packages(wheel: Path) -> None:
    folders = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert folders == {"service", "generator", "migrations"}


def test_the_wheel_contains_the_migrations(wheel: Path, tmp_path: Path, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    migrated = orders(wheel, tmp_path, "migrate", ORDERS_POSTGRES__DSN=database, ORDERS_KAFKA__CREATE_TOPICS="false")
    assert migrated.returncode == 0, migrated.stderr
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_the_wheel_contains_the_json_schema(wheel: Path) -> None:
    assert (wheel / "service/order.schema.json").read_text() == (ROOT / "docs/order.schema.json").read_text()


def test_the_wheel_contains_roles_sql(wheel: Path) -> None:
    assert (wheel / "migrations/roles.sql").read_text() == (ROOT / "chart/files/roles.sql").read_text()


def test_the_wheel_contains_every_file_of_its_packages(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT)
        for package in ("service", "generator", "migrations")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert expected <= {path.relative_to(wheel) for path in wheel.rglob("*")}
