"""The composition roots: one module for each command wires up the other packages."""
