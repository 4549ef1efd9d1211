"""Writes all generated files, and prints those that changed or that need a program that is not installed."""

import sys

from reference import ROOT
from reference.chart import ToolNotInstalled
from reference.files import OF_CHART, OF_CODE


def main() -> None:
    for name, render in {**OF_CHART, **OF_CODE}.items():
        try:
            text = render()
        except ToolNotInstalled as error:
            print(f"{name}: not generated, because {error}", file=sys.stderr)
            continue
        path = ROOT / name
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: updated")


if __name__ == "__main__":
    main()
