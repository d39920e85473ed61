"""Checks of a running cluster before a sweep."""
