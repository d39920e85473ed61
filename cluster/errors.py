"""The error that ends a command of this package."""


class ClusterError(Exception):
    """Nothing can go on. The message is one line: what is wrong, and what would help. Exit status 2."""
