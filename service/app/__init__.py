"""The composition roots: one module or package for each command wires up the other packages."""
