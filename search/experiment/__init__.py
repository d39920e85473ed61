"""One driver per experiment folder or URL, and where it came from."""
