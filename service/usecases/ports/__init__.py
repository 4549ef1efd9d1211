"""Every interface that a use case requires, or that connects packages which must not import each other.

Each is here with the values that its methods exchange. `repo` and `handler` implement them.
"""
