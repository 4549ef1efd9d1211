"""Generates the files that are derived from code: `make reference`."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
