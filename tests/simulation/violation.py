class Violation(AssertionError):
    """A guarantee was broken."""
