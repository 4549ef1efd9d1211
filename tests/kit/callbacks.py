"""Functions that tests name in the settings `token_callback`."""

import json
import os
from base64 import urlsafe_b64encode
from pathlib import Path
from time import time
from typing import Any

TOKEN_FILE = "TEST_TOKEN_FILE"  # noqa: S105 - the name of a variable
SECRET = "never-in-any-output"  # noqa: S105
LIFETIME_SECONDS = 4.0
"""Shorter than the margin within which a token of PostgreSQL is replaced, so that none is cached."""

not_a_function = "text"


def token_of_file(_: Any) -> tuple[str, float]:
    """Return the content of the file as a token."""
    return Path(os.environ[TOKEN_FILE]).read_text(), time() + LIFETIME_SECONDS


def unsigned_token(config: str) -> tuple[str, float]:
    """Return a token for the user `config`, and append a line to the file."""
    with Path(os.environ[TOKEN_FILE]).open("a") as file:
        print(config, file=file)
    issued_at = time()
    expires_at = issued_at + LIFETIME_SECONDS
    claims = {"sub": config, "iat": issued_at, "exp": expires_at}
    return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}.", expires_at


def _encoded(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
