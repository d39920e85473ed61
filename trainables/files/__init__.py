"""Files at paths and URLs, and what lies where in an experiment."""
