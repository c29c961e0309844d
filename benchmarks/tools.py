"""How each tool is called to put a tree on a server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.base import FTPServer
from tests.servers.sshd import OpenSSH

NPM_PACKAGE = "@samkirkland/ftp-deploy"


@dataclass
class Job:
    """One transfer to make: which tree, which files of it, where to."""

    protocol: str
    server: FTPServer
    tree: Path
    paths: list[str]
    directories: list[str]
    work: Path
    connections: int
    first: bool
    """Whether the server holds nothing of this tree yet."""
    tls: str = ""
    """The version of TLS for ours: "1.2" or "1.3"."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        """The private key for SFTP, in a file."""
        assert isinstance(self.server, OpenSSH)
        place = self.work / "key"
        self.server.user_key.write_private_key(place)
        place.chmod(0o600)
        return place


@dataclass(frozen=True)
class Tool:
    """A tool: which protocols it is asked to speak, how it is called, and how its version is asked for."""

    name: str
    protocols: frozenset[str]
    command: Callable[[Job], list[str]]
    version: Callable[[], str]
    sample: int = 0
    """Send only so many files of the full case and scale up: for tools that take many minutes."""
    either_tls: bool = False
    """Whether it can be told which version of TLS to speak."""


def ours(job: Job) -> list[str]:
    target = job.server.target(max_connections=job.connections, path=job.server.path)
    values = {name: getattr(target, name) for name in target.__dataclass_fields__ if name != "traits"}
    request = {
        "target": values,
        "tree": str(job.tree),
        "paths": job.paths,
        "directories": job.directories,
        "tls": job.tls,
    }
    return [sys.executable, "-m", "benchmarks.ours", json.dumps(request)]


def original(job: Job) -> list[str]:
    server = job.server
    request = {
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "password": server.password,
        "path": server.path,
        "tree": str(job.tree),
        "paths": job.paths,
    }
    return [sys.executable, "-m", "benchmarks.original", json.dumps(request)]


def lftp(job: Job) -> list[str]:
    server = job.server
    lines = ["set net:max-retries 3", "set net:timeout 30", "set cmd:fail-exit yes"]
    address = f"ftp://{server.host}:{server.port}"
    if job.protocol == "ftps":
        # With TLS 1.3 lftp cannot reuse a session, and a server that requires it refuses every file.
        priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"
        lines += ["set ftp:ssl-force yes", "set ftp:ssl-protect-data yes", "set ssl:verify-certificate no"]
        lines += [f'set ssl:priority "{priority}"']
    if job.protocol == "sftp":
        ssh = f"ssh -a -x -i {job.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        lines += [f'set sftp:connect-program "{ssh}"']
        address = f"sftp://{server.host}:{server.port}"
    password = server.password if job.protocol != "sftp" else "none"
    mirror = f"mirror -R --parallel={job.connections} --exclude-glob .git/ {job.tree}/ {server.path}/"
    lines += [f"open -u {server.username},{password} {address}", mirror]
    return ["lftp", "-f", script(job, "\n".join(lines))]


def script(job: Job, text: str) -> str:
    place = job.work / "lftp-script"
    place.write_text(text + "\n")
    return str(place)


def rclone(job: Job) -> list[str]:
    server = job.server
    common = f"host={server.host},port={server.port},user={server.username}"
    if job.protocol == "sftp":
        remote = f":sftp,{common},key_file={job.key},shell_type=none,disable_hashcheck=true:{server.path}"
    else:
        obscured = subprocess.run(["rclone", "obscure", server.password], capture_output=True, text=True, check=True)
        tls = ",explicit_tls=true,no_check_certificate=true" if job.protocol == "ftps" else ""
        remote = f":ftp,{common},pass={obscured.stdout.strip()}{tls}:{server.path}"
    return ["rclone", "copy", str(job.tree), remote, "--exclude", ".git/**", "--transfers", str(job.connections), "-q"]


def git_ftp(job: Job) -> list[str]:
    server = job.server
    action = "init" if job.first else "push"
    scheme = {"ftp": "ftp", "ftps": "ftpes", "sftp": "sftp"}[job.protocol]
    options = ["--user", server.username, "--syncroot", "."]
    if job.protocol == "sftp":
        options += ["--key", str(job.key), "--insecure"]
    else:
        options += ["--passwd", server.password, "--insecure"]
    # A second slash makes the path absolute.
    return ["git", "ftp", action, *options, f"{scheme}://{server.host}:{server.port}/{server.path}"]


def npm_ftp_deploy(job: Job) -> list[str]:
    server = job.server
    program = npm_folder(job.work.parent) / "node_modules/.bin/ftp-deploy"
    return [
        str(program),
        *("--server", server.host, "--port", str(server.port)),
        *("--username", server.username, "--password", server.password),
        *("--protocol", "ftps" if job.protocol == "ftps" else "ftp", "--security", "loose"),
        *("--local-dir", f"{job.tree}/", "--server-dir", f"{server.path.strip('/')}/"),
        *("--exclude", "**/.git*/**", "--log-level", "minimal", "--timeout", "60000"),
    ]


def npm_folder(work: Path) -> Path:
    """Install the package where it is not yet; return the folder."""
    folder = work / "npm"
    if not folder.exists():
        folder.mkdir()
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), NPM_PACKAGE]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


def first_line(*command: str) -> Callable[[], str]:
    def ask() -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[0] if lines else "?"

    return ask


def our_version() -> str:
    from importlib.metadata import version

    import ftp_deploy

    names = ("asyncssh", "cryptography")
    parts = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{getattr(ftp_deploy, '__version__', 'this tree')} (Python {sys.version.split()[0]}, {parts})"


ALL = frozenset({"ftp", "ftps", "sftp"})
TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("ours", ALL, ours, our_version, either_tls=True),
        Tool("lftp", ALL, lftp, first_line("lftp", "--version"), either_tls=True),
        Tool("rclone", ALL, rclone, first_line("rclone", "version")),
        Tool("git-ftp", ALL, git_ftp, first_line("git", "ftp", "--version")),
        Tool("npm", frozenset({"ftp", "ftps"}), npm_ftp_deploy, lambda: f"{NPM_PACKAGE} (newest at the time)"),
        Tool("2014", frozenset({"ftp"}), original, lambda: "the algorithm of 2014, on ftplib", sample=120),
    )
}


def is_here(tool: Tool, job_folder: Path) -> str:
    """Say why a tool cannot run here; empty: it can."""
    program = {"lftp": "lftp", "rclone": "rclone", "git-ftp": "git-ftp", "npm": "npm"}.get(tool.name)
    if program and not shutil.which(program):
        return f"{program} is not installed"
    if tool.name == "npm":
        try:
            npm_folder(job_folder)
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm install failed: {type(error).__name__}"
    return ""


def environment(work: Path) -> dict[str, str]:
    """Return an environment in which no tool finds a configuration of this machine."""
    home = work / "home"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n[user]\n\tname = bench\n\temail = bench@example.com\n")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "VIRTUAL_ENV")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "dumb"}
