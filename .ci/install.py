"""Installs a lock file with the pip of this Python, and shows its progress: `install.py LOCK_FILE`.

pip alone prints either nothing for minutes or hundreds of lines.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
PACKAGE = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==", re.MULTILINE)
STEP = re.compile(r"^(?:Collecting|Requirement already satisfied:) (?P<package>[A-Za-z0-9._-]+)")


def main(lock_file: Path) -> int:
    total = len(PACKAGE.findall(lock_file.read_text(encoding="utf-8")))
    command = [*PIP, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip:  # noqa: S603 - our own arguments
        assert pip.stdout  # noqa: S101 - it is a pipe
        show_progress(pip.stdout, total)
    return pip.returncode


def show_progress(lines: Iterable[str], total: int) -> None:
    """Count packages in one line of a terminal; elsewhere print each tenth of them."""
    is_terminal = sys.stdout.isatty()
    found = 0
    for line in lines:
        if step := STEP.match(line):
            found += 1
            if is_terminal:
                print(f"\r\x1b[K  {found} of {total} packages: {step['package']}", end="", flush=True)
            elif found % max(total // 10, 1) == 0:
                print(f"  {found} of {total} packages", flush=True)
        elif line.startswith("Installing collected packages"):
            print("\r\x1b[K" * is_terminal + "  unpacking them", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
