"""The trees that are sent: made from a seed, the same on every machine."""

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

FILES = 1271
DIRECTORIES = 203
EMPTY = 85
TOTAL = 9_900_000
CHANGED = 10
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    title: str
    files: int


CASES = {
    case.name: case
    for case in (
        Case("full", f"{FILES} files, {TOTAL / MEGABYTE:.1f} MB, into an empty directory", FILES),
        Case("changed", f"{CHANGED} changed files of {FILES}", CHANGED),
        Case("large", "one file of 200 MB", 1),
        Case("medium", "20 files of 5 MB", 20),
    )
}


def make(folder: Path, case: str, seed: int = 2014) -> None:
    """Fill ``folder`` with the tree of a case and make it a git repository with one commit."""
    dice = random.Random(seed)
    if case == "large":
        write(folder / "large.bin", dice, 200 * MEGABYTE)
    elif case == "medium":
        for number in range(20):
            write(folder / f"medium-{number:02}.bin", dice, 5 * MEGABYTE)
    else:
        for path, size in zip(paths(dice), sizes(dice), strict=True):
            write(folder / path, dice, size)
    git(folder, "init", "-q", "-b", "main")
    commit(folder)


def paths(dice: random.Random) -> list[str]:
    """Return the file names, in directories of up to five levels, as a site has them."""
    directories = [""]
    while len(directories) <= DIRECTORIES:
        parent = dice.choice(directories)
        if parent.count("/") < 5:
            directories.append(f"{parent}part{len(directories)}/")
    names = [f"{directory}index.html" for directory in directories[1:]]
    while len(names) < FILES:
        names.append(f"{dice.choice(directories)}file{len(names)}.txt")
    return names


def sizes(dice: random.Random) -> list[int]:
    """Return sizes with a median of about 1.4 kB, some empty, some large, ``TOTAL`` together."""
    found = [0] * EMPTY + [max(1, int(dice.lognormvariate(7.2, 1.7))) for _ in range(FILES - EMPTY)]
    scale = TOTAL / sum(found)
    found = [min(int(size * scale) or bool(size), MEGABYTE) for size in found]
    dice.shuffle(found)
    return found


def write(place: Path, dice: random.Random, size: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        while size:
            file.write(dice.randbytes(min(size, MEGABYTE)))
            size -= min(size, MEGABYTE)


def change(folder: Path, seed: int = 7) -> list[str]:
    """Change some files, commit, and return their paths."""
    dice = random.Random(seed)
    files = sorted(path for path in folder.rglob("*.*") if path.is_file() and ".git" not in path.parts)
    chosen = dice.sample([path for path in files if path.stat().st_size], CHANGED)
    for path in chosen:
        path.write_bytes(path.read_bytes() + b"changed\n")
    commit(folder)
    return [str(path.relative_to(folder)) for path in chosen]


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")


def git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{what}": "bench@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **who}, check=True, capture_output=True)


def content(folder: Path) -> dict[str, int]:
    """Return the path and the size of every file that is to be on the server."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
