"""ClusterError, and other errors in one line."""


class ClusterError(Exception):
    """Nothing can go on. The message is one line: what is wrong, and what would help. Exit status 2."""


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks, at most 300 characters of it."""
    return " ".join(str(error).split())[:300]
