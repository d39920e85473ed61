"""One section of the report per module."""
