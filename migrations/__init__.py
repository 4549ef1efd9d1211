"""Alembic migrations, run by `orders migrate`. Upgrade only: an older release runs on the newer schema."""
