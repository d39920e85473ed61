"""Splits: by chance, by time, of groups of several classes, or as they were given."""
