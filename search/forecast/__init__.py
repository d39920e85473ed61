"""What a sweep will cost, measured before its first trial."""
