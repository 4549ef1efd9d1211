"""Banned words: other terms for what the project already names, contractions, and British spellings."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).relative_to(ROOT)
JARS = Path("local/kafka-jars.txt")
"""Checksums."""

TERMS = {
    r"(?i:poison (?:pill|message))s?": "rejected message",
    r"(?i:dead-letter queue)s?": "dead-letter topic",
    r"(?i:read replica|hot standby)s?": "standby",
    r"(?i:white-?list)(?:s|ed)?": "allowlist",
    r"(?i:e-tag)s?": "ETag",
    r"(?i:back-off)s?": "backoff",
    r"(?i:fail-over)s?": "failover",
    r"(?i:re-balanc(?:e[ds]?|ing))": "rebalance",
    r"(?i:time[ -]stamp)s?": "timestamp",
    r"(?i:anew)": "again, or what is replaced by what",
}
IZE = "author|character|final|general|initial|minim|normal|optim|organ|priorit|recogn|serial|summar|synchron|util"
SPELLING = {
    r"[A-Za-z]+n['\u2019]t|[Cc]an not": "cannot, do not, …",
    r"(?i:cancell(?:ed|ing)(?!error|\())": "canceled, canceling, as PostgreSQL does; cancelled() is Python's",
    rf"(?i:[a-z]*(?:{IZE})is(?:e[ds]?|er|ing|ations?))": "-ize, -ization",
    r"(?i:licences?|colours?|behaviours?|neighbours?|defences?|catalogues?|labelled)": "American spelling",
    r"(?i:(?:mis)?spelt|spoilt|learnt|whilst|amongst)": "American spelling",
}
LETTERS = r"(?<!dead)(?<!dead[ _-])(?<!Dead[ -])(?<!Dead)[Ll]etters?"
"""Letters of the alphabet are allowed: in the lines that `CHARACTERS` matches."""
CHARACTERS = re.compile(r"capital letter|letters, digits|letters or|three letters|start with a letter|`letter`")


@pytest.mark.parametrize(("pattern", "instead"), [*TERMS.items(), *SPELLING.items()])
def test_a_banned_word_is_not_used(pattern: str, instead: str) -> None:
    assert [*_uses(_word(pattern))] == [], f"write: {instead}"


def test_a_dead_letter_is_never_just_a_letter() -> None:
    assert [use for use in _uses(_word(LETTERS)) if not CHARACTERS.search(use)] == []


def test_the_patterns_match_the_words_that_they_ban() -> None:
    terms = [
        "poison pills", "Dead-letter queue", "read replica", "whitelisted", "e-tag",
        "back-off", "a fail-over", "re-balancing", "time stamps", "starts anew",
    ]  # fmt: skip
    spelled = ["it can't", "is_cancelled", "onUnauthorised", "CATALOGUE", "misspelt"]
    for pattern, word in zip([*TERMS, *SPELLING], terms + spelled, strict=True):
        assert re.search(_word(pattern), word), word
    assert re.search(LETTERS, "list letters of a day")
    assert not re.search(LETTERS, "dead letters, dead_letters, DeadLetters, dead-letter")


def _word(pattern: str) -> str:
    return rf"(?<![A-Za-z])(?:{pattern})(?![a-z])"


def _uses(pattern: str) -> Iterator[str]:
    """Yield each line with a match, and its location. A line break counts as a space."""
    expression = re.compile(pattern)
    for path in _tracked():
        lines = (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines()
        for number, (before, line) in enumerate(zip(["", *lines], lines, strict=False), 1):
            start = f"{before[-5:]} "  # so that a match may start at the end of the previous line
            if expression.search(start + line.strip(), len(start)):
                yield f"{path}:{number}: {line.strip()[:100]}"


def _tracked() -> Iterator[Path]:
    if not ((ROOT / ".git").exists() and shutil.which("git")):
        pytest.skip("NOT RUN: BANNED WORDS: NO GIT REPOSITORY TO LIST THE FILES")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    for name in filter(None, listing.split("\0")):
        path = Path(name)
        generated = path.suffix in {".png", ".lock", ".sum", ".json", ".mod"} or path.name == "licenses.md"
        if (ROOT / path).is_file() and path not in {HERE, JARS} and not generated:
            yield path
