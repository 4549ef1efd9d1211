"""The consumer: a reading thread, which uses the Kafka client, and a writing thread, which ingests batches.

Every object belongs to the reading thread, unless its docstring says otherwise.
"""
