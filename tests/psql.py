"""PostgreSQL's command-line clients, from the wheel of the embedded server."""

import os
import subprocess

from local.postgres import bin_folder


def psql(*options: str, **variables: str) -> None:
    """Run it as a script would, with `variables` in its environment; CalledProcessError where a statement fails."""
    client("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options, **variables)


def client(name: str, *options: str, **variables: str) -> None:
    """Run any of them; CalledProcessError where it fails."""
    command = [str(bin_folder() / name), *options]
    subprocess.run(command, env=os.environ | variables, check=True, timeout=60)  # noqa: S603
