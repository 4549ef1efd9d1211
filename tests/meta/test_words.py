"""Banned words: private terms for concepts of Kafka, PostgreSQL, HTTP or Jepsen, and British spellings."""

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
    r"brakes?|braked": "circuit breaker",
    r"[Pp]atience|[Pp]atient|OutOfPatience|NotYet": "polling: Poller, TryAgain, DeadlineExceeded",
    r"[Ss]eldom": "LogThrottle",
    r"gathered(?=\[)|Gathered": "BatchLoader",
    r"[Tt]old|verdicts?|judged?": "report, result, evaluate",
    r"told_to": "client_logger",
    r"[Ss]cenes?": "harness, setup",
    r"turn_off|turn_on": "pause, resume",
    r"Ears|[Dd]eaf": "ListenerCallbacks, HeartbeatTimeout",
    r"[Cc]ontest|contenders?|rivals?": "write plan; baseline",
    r"_?astray": "out of range",
    r"begin_generation": "invalidate_all",
    r"unsaved": "rejected",
    r"torture|arena|victim|troubles": "chaos, workload, failpoints, nemesis",
    r"mends?|mended|mending": "fix",
    r"foresaw": "unhandled error (this is a bug)",
    r"of ours": "our, or the thing's name",
    r"[Ww]hoever|[Ee]verybody|[Ss]omebody|NOBODY": "the name of the role, or anyone who …",
    r"anew": "again",
    r"spoilt": "invalid, corrupted",
    r"lets go": "releases",
    r"nought": "0",
}
SETTINGS = {
    r"RETRY__(INITIAL|CEILING)(?!_)": "INITIAL_BACKOFF, MAX_BACKOFF",
    r"BRAKE__\w+": "CIRCUIT_BREAKER__…",
    r"REBALANCE__WAIT": "REVOKE_TIMEOUT",
    r"STALL_AFTER": "LIVENESS_TIMEOUT",
    r"WARM_ORDERS": "WARM_UP_SIZE",
    r"EVENT_RING|EVENT_QUEUE": "EVENT_BUFFER_SIZE",
    r"CACHE__HEARTBEAT": "LISTENER__HEARTBEAT",
    r"DOCUMENT__AMOUNTS": "AMOUNT_MISMATCH",
    r"VERSION__ORDER": "COMPARE_BY",
    r"MAX_ORDERS|orders_batch_orders": "MAX_MESSAGES, orders_batch_messages",
}
IZE = "author|character|final|general|initial|minim|normal|optim|organ|priorit|recogn|serial|summar|synchron|util"
SPELLING = {
    r"[A-Za-z]+n['\u2019]t|[Cc]an not": "cannot, do not, …",
    r"(?i:cancell(?:ed|ing)(?!error|\())": "canceled, canceling, as PostgreSQL does; cancelled() is Python's",
    rf"(?i:[a-z]*(?:{IZE})is(?:e[ds]?|er|ing|ations?))": "-ize, -ization",
    r"(?i:licences?|colours?|behaviours?|neighbours?|defences?|catalogues?|labelled)": "American spelling",
}
LETTERS = r"(?<!dead)(?<!dead[ _-])(?<!Dead[ -])(?<!Dead)[Ll]etters?"
"""Letters of the alphabet are allowed: in the lines that `CHARACTERS` matches."""
CHARACTERS = re.compile(r"capital letter|letters, digits|letters or|three letters|start with a letter|`letter`")


@pytest.mark.parametrize(("pattern", "instead"), [*TERMS.items(), *SETTINGS.items(), *SPELLING.items()])
def test_a_banned_word_is_not_used(pattern: str, instead: str) -> None:
    assert [*_uses(rf"(?<![A-Za-z])(?:{pattern})(?![a-z])")] == [], f"write: {instead}"


def test_a_dead_letter_is_never_just_a_letter() -> None:
    assert [use for use in _uses(rf"(?<![A-Za-z])(?:{LETTERS})(?![a-z])") if not CHARACTERS.search(use)] == []


def test_the_patterns_match_the_words_that_they_ban() -> None:
    used = "the brake is on; Patience(3); told_to(log); BRAKE__RATIO; ORDERS_BATCH__MAX_ORDERS=1; one of ours"
    found = [each for each in (*TERMS, *SETTINGS) if re.search(rf"(?<![A-Za-z])(?:{each})(?![a-z])", used)]
    assert len(found) == 7
    spelled = ["it can't", "is_cancelled", "onUnauthorised", "CATALOGUE"]
    assert all(
        re.search(rf"(?<![A-Za-z])(?:{each})(?![a-z])", word) for each, word in zip(SPELLING, spelled, strict=True)
    )
    assert re.search(LETTERS, "list letters of a day")
    assert not re.search(LETTERS, "dead letters, dead_letters, DeadLetters, dead-letter")


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
