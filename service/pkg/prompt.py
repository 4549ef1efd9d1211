"""A question to the user at the terminal."""

from service.pkg.shutdown_event import interruptible


def confirms(question: str) -> bool:
    """Return whether the user answers yes. Raises KeyboardInterrupt on Ctrl-C."""
    try:
        with interruptible():
            answer = input(question)
    except EOFError:
        return False
    return answer.strip().lower() in {"y", "yes"}
