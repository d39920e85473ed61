"""Where a result came from: package versions and the checkout's commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "ray",
    "optuna",
    "tensorflow",
    "keras",
    "tensorboardX",
    "scikit-learn",
    "numpy",
    "pandas",
    "pydantic",
    "pillow",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on; importing none of them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the checkout's commit, with `+` behind it when files differ from it; None outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
