"""The command line of `orders generate`, without running it."""

import argparse

from generator import command


def parsed(*words: str) -> argparse.Namespace:
    """Return what `orders generate WORDS` is told."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)
