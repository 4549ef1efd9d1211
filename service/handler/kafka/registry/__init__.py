"""The schema registry: its client, the cache of schemas, and the readers of what they describe."""
