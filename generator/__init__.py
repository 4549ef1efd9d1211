"""Seeded streams of orders and faults, their producer, and the reconciliation of what became of them."""
