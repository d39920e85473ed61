"""Where a result came from: package versions and the checkout's commit."""

import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    *("ray", "optuna", "tensorflow", "keras", "tensorboardX"),
    *("scikit-learn", "numpy", "pandas", "pydantic"),
    *("pillow", "pillow-heif", "tifffile", "imagecodecs", "ImageHash"),
)


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on; importing none of them."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the checkout's commit, with `+` behind it when files differ from it; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parent.parent), "describe"]
    # Without tags: the whole hash. Files that git does not track do not count.
    command += ["--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
