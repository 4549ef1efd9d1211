"""Parses the command line of `orders generate` without running it."""

import argparse

from generator import generate


def parse(*words: str) -> argparse.Namespace:
    """Return the parsed arguments of `orders generate WORDS`."""
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    return parser.parse_args(words)
