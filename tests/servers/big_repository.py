"""A real site of over 5,000 files, taken from the packages that are installed anyway."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

FILES = 5_200
LARGEST = 200_000


def big_site(files: int = FILES) -> dict[str, bytes]:
    """Return ``files`` files by path: Django whole, then further packages, as their wheels brought them."""
    found: dict[str, bytes] = {}
    for path, place in _installed():
        found[path] = place.read_bytes()
        if len(found) == files:
            return found
    raise RuntimeError(f"Only {len(found)} files are installed; {files} are needed.")


def _installed() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["purelib"])
    packages = sorted(place for place in root.iterdir() if place.is_dir() and place.name.isidentifier())
    for package in sorted(packages, key=lambda place: place.name != "django"):
        for place in sorted(package.rglob("*")):
            path = place.relative_to(root).as_posix()
            if "__pycache__" not in path and place.is_file() and place.stat().st_size <= LARGEST:
                yield path, place
