"""PostgreSQL's own client, which the wheel of the embedded server has."""

import os
import subprocess

from service.embedded.postgres import _newest, _package


def psql(*options: str, **variables: str) -> None:
    """Run it as a script would, with `variables` in its environment; CalledProcessError where a statement fails."""
    command = [str(_newest(_package()) / "bin" / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options]
    subprocess.run(command, env=os.environ | variables, check=True, timeout=60)  # noqa: S603
