"""The composition roots, one for each command that runs more than one part: the only place where the parts meet."""
