"""The schema's history, driven by `orders migrate`. Forward only: a release is rolled back on the newer schema."""
