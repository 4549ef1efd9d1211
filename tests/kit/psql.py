"""PostgreSQL's command-line clients, from the wheel of the embedded server."""

import os
import subprocess

from local.postgres import bin_folder


def psql(*options: str, **variables: str) -> None:
    """Run psql with `variables` in its environment. Raises CalledProcessError if a statement fails."""
    client("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options, **variables)


def client(name: str, *options: str, **variables: str) -> None:
    """Run a client of PostgreSQL by its name. Raises CalledProcessError if it fails."""
    command = [str(bin_folder() / name), *options]
    subprocess.run(command, env=os.environ | variables, check=True, timeout=60)  # noqa: S603
