"""Seeded streams of valid and faulty orders, their producer, and the comparison with the stored result."""
