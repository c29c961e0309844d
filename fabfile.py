"""The tasks of a developer: ``fab --list`` names them. Each works from any virtual environment, activated or not."""

import datetime
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from fabric import task
from invoke import Context
from invoke.exceptions import Exit
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent
SDIST_FILES = {
    *("pyproject.toml", "setup.py", "MANIFEST.in"),
    *("LICENSE", "README.rst", "CHANGELOG.rst", "CONTRIBUTING.rst", "SECURITY.md"),
}
"""What an sdist holds besides the package."""
SDIST_MADE = {"PKG-INFO", "setup.cfg"}
PROCESSES = 2
"""How many tests run at the same time: the tests start real servers, so more is not faster on a small machine."""


def run(context: Context, *command: str, **variables: str) -> None:
    """Run a Python module or program from the root of the repository, its output passed through as it comes."""
    with context.cd(str(ROOT)):
        context.run(shlex.join(command), env=variables, in_stream=False, echo=True)


def python(context: Context, *arguments: str, **variables: str) -> None:
    """Run the Python that runs this file, so that no virtual environment has to be activated."""
    run(context, sys.executable, "-m", *arguments, **variables)


def paths_of_tests(module: str) -> list[str]:
    """Return the test files and folders of a module of the package, such as ``views`` or ``transports.ftp``."""
    if not module:
        return ["tests"]
    *folders, name = module.split(".")
    folder = ROOT.joinpath("tests", *folders)
    found = [path for path in (folder / name, folder / f"test_{name}.py") if path.exists()]
    found = found or sorted((ROOT / "tests").rglob(f"test_{name}.py"))
    if not found:
        raise Exit(f"There are no tests of a module named {module!r} under tests/.", code=2)
    return [str(path.relative_to(ROOT)) for path in found]


def pytest(context: Context, *arguments: str, processes: int = PROCESSES) -> None:
    """Run pytest over several processes."""
    python(context, "pytest", "-n", str(processes), *arguments)


@task(help={"failed": "only the tests that failed in the last run, one at a time"})
def test(context, failed=False):
    """All tests but the long fault suite (fab faults)."""
    again = ["--last-failed", "--last-failed-no-failures", "none"] if failed else []
    pytest(context, "-m", "not faults", *again, *paths_of_tests(""), processes=0 if failed else PROCESSES)


@task
def testc(context):
    """All tests, with branch coverage."""
    pytest(context, "-m", "not faults", "--cov", "--cov-report=term", "--cov-report=html", *paths_of_tests(""))


@task(help={"module": "only the tests of this module, such as views or transports.ftp"})
def testu(context, module=""):
    """Unit tests: no server, no process."""
    pytest(context, "-m", "not integration and not faults", *paths_of_tests(module))


@task(help={"module": "only the tests of this module, such as transports.ftp"})
def testi(context, module=""):
    """Integration tests: real servers and processes."""
    pytest(context, "-m", "integration and not faults", *paths_of_tests(module))


@task(
    help={
        "seeds": "how many seeds of random faults on each combination of database and broker; default: 50",
        "first": "the first seed; empty: from the clock. A run that was ended goes on with the next one",
        "only": "a part of the suite, as pytest's -k: test_disks, or postgresql-redis",
    }
)
def faults(context, seeds=50, first="", only=""):
    """The long fault suite: processes killed, servers that hang, networks that lose packets."""
    variables = {"FTP_DEPLOY_FAULT_SEEDS": str(seeds), "FTP_DEPLOY_FAULT_SEED": str(first)}
    chosen = ["-k", only] if only else []
    python(context, "pytest", "-m", "faults and not kills", "-v", "-rA", *chosen, *paths_of_tests(""), **variables)


@task(
    help={
        "seeds": "how many seeds for each protocol and each of server, worker and link; default: 50",
        "first": "the first seed; default: 0",
        "only": "a part of the runs, such as sftp or ftps-worker",
    }
)
def kills(context, seeds=50, first=0, only=""):
    """Kill the server, the worker or the link in the middle of deploys, at seeded moments (about 2 s a run)."""
    variables = {"FTP_DEPLOY_KILL_SEEDS": str(seeds), "FTP_DEPLOY_KILL_SEED": str(first)}
    chosen = ["-k", " and ".join(f"{part}-" for part in only.split("-"))] if only else []
    python(context, "pytest", "-m", "kills", "-rA", *chosen, "tests/kills", **variables)


@task
def testlow(context):
    """Unit tests with the oldest versions that the metadata allows, in an environment of their own."""
    test_with(context, "lowest", lowest_versions())


@task
def testdjango(context):
    """Unit tests with the newest release of each Django that the metadata claims and this Python can run."""
    for version in claimed_djangos():
        test_with(context, f"django-{version}", [f"Django~={version}.0"])


def test_with(context: Context, name: str, pins: list[str]) -> None:
    """Run the unit tests in a fresh environment below ``build/`` with these versions; where none fits, say so."""
    folder = ROOT / "build" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "pins.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    run(context, sys.executable, "-m", "venv", str(folder / "venv"))
    interpreter = str(folder / "venv" / "bin" / "python")
    wanted = ("-c", str(folder / "pins.txt"), "-e", ".[dev,standalone]")
    run(context, interpreter, "-m", "pip", "install", "-q", *wanted)
    run(context, interpreter, "-m", "pip", "check")
    run(context, interpreter, "-m", "pytest", "-q", "-m", "not integration and not faults", "tests")


def metadata() -> dict[str, Any]:
    """Return the project table of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def claimed_djangos() -> list[str]:
    """Return the Django series of the classifiers, such as ``5.2``."""
    prefix = "Framework :: Django :: "
    return [name.removeprefix(prefix) for name in metadata()["classifiers"] if name.startswith(prefix)]


def lowest_versions() -> list[str]:
    """Return a pin for each lower bound of the core and of the stand-alone extra: its first release or a fix of it."""
    project = metadata()
    pins = []
    for requirement in map(Requirement, project["dependencies"] + project["optional-dependencies"]["standalone"]):
        bounds = [part.version for part in requirement.specifier if part.operator == ">="]
        pins += [
            f"{requirement.name}~={bound}.0" if bound.count(".") < 2 else f"{requirement.name}=={bound}"
            for bound in bounds
        ]
    return pins


@task
def lint(context):
    """Format, lint and import direction."""
    python(context, "ruff", "format", "--check", ".")
    python(context, "ruff", "check", ".")


@task
def types(context):
    """Static types, strict."""
    python(context, "mypy", PYTHONPATH=str(ROOT))


@task
def migrations(context):
    """Check that no migration is missing."""
    variables = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    python(context, "django", "makemigrations", "--check", "--dry-run", **variables)


@task
def docs(context):
    """Build the documentation; a warning is an error."""
    python(context, "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@task(help={"part": "transfer (default), load or pages", "options": "further arguments, such as '--deploys 100000'"})
def bench(context, part="transfer", options=""):
    """Measure transfers, the queue or the pages; see benchmarks/README.rst."""
    python(context, "benchmarks", part, *shlex.split(options), PYTHONPATH=str(ROOT))


@task
def assets(context):
    """Fetch the dashboard's front-end files by npm into its static folder."""
    run(context, sys.executable, str(ROOT / "assets.py"))


@task
def screenshots(context):
    """Write a picture of each page into docs/images/, by Chromium against the real demo."""
    python(context, "tests.server.screenshots", PYTHONPATH=str(ROOT))


@task(
    help={
        "once": "check the whole way, then stop; the exit status tells",
        "repo": "a repository of yours: a path or an address",
        "folder": "where the demo keeps its files; default: a temporary folder",
    }
)
def demo(context, once=False, repo="", folder=""):
    """A push goes live before your eyes: forge, FTP server, web and worker on this machine."""
    command = [sys.executable, "-m", "ftp_deploy.standalone", "demo"]
    command += ["--once"] * once + (["--repo", repo] if repo else []) + (["--folder", folder] if folder else [])
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - the demo takes this process over: Ctrl-C reaches it directly


@task
def package(context):
    """Build sdist and wheel into dist/ and check them: their files, and how an index will read them."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    python(context, "build")
    archives = sorted((ROOT / "dist").iterdir())
    wrong = [line for archive in archives for line in wrong_files(archive, tracked_files())]
    if wrong:
        raise Exit("The packages are not what they should be:\n  " + "\n  ".join(wrong), code=1)
    python(context, "twine", "check", "--strict", *(str(path.relative_to(ROOT)) for path in archives))


@task(help={"tested": "leave the tests out: they passed on this very commit, as in continuous integration"})
def release(context, tested=False):
    """All of a release but tag and upload: version, changelog, tests, documentation, packages, an installation."""
    version = metadata()["version"]
    wrong = not_ready(version)
    if wrong:
        raise Exit("This is no release yet:\n  " + "\n  ".join(wrong), code=1)
    tests = () if tested else (test, testlow, testdjango)
    for step in (lint, types, migrations, docs, *tests, package, installed):
        step(context)
    print("\nReady to upload:", *sorted(path.name for path in (ROOT / "dist").iterdir()), sep="\n  ")
    print(f"Upload: python -m twine upload dist/*\nThen:   git tag v{version} && git push origin v{version}")


def not_ready(version: str) -> list[str]:
    """Return what has to be done before this version can be released, one sentence each."""
    wrong = []
    if git("status", "--porcelain"):
        wrong.append("Commit first: a release is made from what git has.")
    if Version(version).is_prerelease:
        wrong.append(f"{version} in pyproject.toml is no release: give it the version that comes, such as 3.0.0.")
    code = (ROOT / "ftp_deploy" / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in code:
        wrong.append(f"ftp_deploy/__init__.py names another version than pyproject.toml: {version}.")
    if f"v{version}" in git("tag", "--list").split():
        wrong.append(f"The tag v{version} is there already: a version is released once.")
    return wrong + changelog_faults((ROOT / "CHANGELOG.rst").read_text(encoding="utf-8"), version)


def changelog_faults(text: str, version: str) -> list[str]:
    """Return what is wrong with a changelog: its first section has to be this version's, with a date and entries."""
    sections = re.findall(r"^(\S.*)\n-{3,}\n((?:(?!^\S.*\n-{3,}$).*\n?)*)", text, flags=re.M)
    title, body = sections[0] if sections else ("", "")
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d{{2}}-\d{{2}}\)", title):
        wanted = f"{version} ({datetime.date.today().isoformat()})"
        return [f"CHANGELOG.rst begins with {title!r}: make that heading {wanted!r}."]
    return [] if re.search(r"^- ", body, flags=re.M) else [f"CHANGELOG.rst says nothing of {version}."]


def git(*arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@task
def installed(context):
    """Install the wheel of dist/ into a fresh environment below build/, away from the source, and let it deploy."""
    folder = ROOT / "build" / "installed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (wheel,) = (ROOT / "dist").glob("*.whl")
    run(context, sys.executable, "-m", "venv", str(folder / "venv"))
    run(context, str(folder / "venv" / "bin" / "pip"), "install", "-q", f"{wheel}[standalone]")
    program = shlex.quote(str(folder / "venv" / "bin" / "ftp-deploy"))
    with context.cd(str(folder)):
        for arguments in ("--version", f"--folder {shlex.quote(str(folder / 'data'))} migrate", "demo --once"):
            context.run(f"{program} {arguments}", in_stream=False, echo=True)


def tracked_files() -> set[str]:
    """Return the files that git has."""
    return {name for name in git("ls-files", "-z").split("\0") if name and (ROOT / name).is_file()}


def wrong_files(archive: Path, tracked: set[str]) -> list[str]:
    """Return a line for each file that is missing in a wheel or sdist, or has no business there."""
    package = {name for name in tracked if name.startswith("ftp_deploy/")}
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            held = {name for name in opened.namelist() if ".dist-info/" not in name}
        wanted = package
    else:
        with tarfile.open(archive) as opened_sdist:
            names = [member.name for member in opened_sdist.getmembers() if member.isfile()]
        held = {name.partition("/")[2] for name in names if ".egg-info/" not in name} - SDIST_MADE
        wanted = package | SDIST_FILES
    missing = [f"{archive.name}: {name} is missing" for name in sorted(wanted - held)]
    return missing + [f"{archive.name}: {name} does not belong there" for name in sorted(held - wanted)]
