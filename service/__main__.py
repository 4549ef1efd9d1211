"""The entry point: the console script `orders` and `python -m service`."""

import os
import signal
from typing import NoReturn

from service.pkg.exit_codes import ExitCode


def run() -> NoReturn:
    """Run one command and end the process. Until then, Ctrl-C ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is ignored in a background job
        signal.signal(signal.SIGINT, lambda *_: os._exit(ExitCode.INTERRUPTED))
    from service import main  # noqa: PLC0415 - after the handler is set, because importing takes a moment

    main.run()


if __name__ == "__main__":
    run()
