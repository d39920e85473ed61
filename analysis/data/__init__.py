"""An experiment's records as frames and report data."""
