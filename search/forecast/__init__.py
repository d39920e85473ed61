"""Forecast of a sweep's cost, measured before its first trial."""
