"""The token of a cluster: its file and permissions.

Ray 2.60 takes it from ~/.ray/auth_token (or the file that RAY_AUTH_TOKEN_PATH names) and asks for it when RAY_AUTH_MODE
is `token`. https://docs.ray.io/en/latest/ray-security/token-auth.html
"""

import os
import secrets
from pathlib import Path

from cluster.errors import ClusterError


def token_file() -> Path:
    """Return the path of the token, which may not exist yet."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def make_token() -> tuple[Path, bool]:
    """Make a token unless there is one; return its file, and whether it is new. The token itself is shown nowhere.

    `ray get-auth-token --generate` prints the token and leaves a file that everyone may read.

    Raises:
        ClusterError: the file is empty.
    """
    file = token_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists():
        if not file.read_text().strip():
            raise ClusterError(f"{file} is empty; remove it, and run this again")
        file.chmod(0o600)
        return file, False
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))
    return file, True


def use_token() -> None:
    """Make this process and its children use the token, if there is one and RAY_AUTH_MODE is not set.

    Call it before Ray is imported, which reads the mode then, once.
    """
    if token_file().exists() or os.environ.get("RAY_AUTH_TOKEN"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
