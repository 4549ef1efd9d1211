"""The version and the mode of this process, as `/version`, metrics and traces report them."""

from importlib.metadata import version


def build_info(mode: str) -> dict[str, str]:
    return {"version": version("orders"), "mode": mode}
