"""A question to the user at the terminal."""

import signal


def confirms(question: str) -> bool:
    """Return whether the user answers yes. Raises KeyboardInterrupt on Ctrl-C."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C interrupts input()
    try:
        answer = input(question)
    except EOFError:
        return False
    finally:
        signal.signal(signal.SIGINT, handler)
    return answer.strip().lower() in {"y", "yes"}
