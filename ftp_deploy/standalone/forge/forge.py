"""The forge: repositories, one user with a token, and hooks that are really delivered."""

import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ftp_deploy.standalone.forge.api import Api
from ftp_deploy.standalone.forge.deliveries import Delivery, Postman
from ftp_deploy.standalone.forge.documents import Documents
from ftp_deploy.standalone.forge.git_service import GitService
from ftp_deploy.standalone.forge.storage import (
    ZERO,
    Author,
    Hook,
    StoredRepository,
    import_bare,
    make_bare,
)
from ftp_deploy.standalone.forge.web import Server

Files = Mapping[str, "bytes | tuple[int, bytes] | None"]


class Forge:
    """A forge in threads of this process.

    ``folder`` holds the repositories. ``partial`` False makes it a git server of old: no filters, no objects by id.
    ``use_git`` False serves with dulwich even where a git binary is installed. Use as a context manager, or ``start``
    and ``stop``. For an app, ``url`` is the address of a GitHub Enterprise Server.
    """

    def __init__(
        self,
        folder: "str | Path",
        *,
        username: str = "webmaster",
        token: str = "forge-token",  # noqa: S107 - a demo's login, shown on its page
        email: str = "webmaster@example.com",
        host: str = "127.0.0.1",
        port: int = 0,
        partial: bool = True,
        use_git: bool = True,
        tls: ssl.SSLContext | None = None,
        hook_timeout: float = 10.0,
    ) -> None:
        self.folder = Path(folder)
        self.username = username
        self.token = token
        self.email = email
        self.repositories: list[StoredRepository] = []
        self.log: deque[str] = deque(maxlen=10_000)
        self.git = GitService(partial=partial, use_git=use_git)
        self.api = Api(self)
        self._moved: dict[str, int] = {}
        self._hook_numbers = 0
        self._postman = Postman(hook_timeout)
        self._server = Server((host, port), self, tls)
        self._thread: threading.Thread | None = None
        address = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{address}:{self._server.server_port}"
        self.documents = Documents(self.url, username, email)

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything that was sent to hooks, oldest first."""
        return self._postman.deliveries

    def start(self) -> str:
        """Start serving and return the forge's address."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._postman.start()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="forge", daemon=True)
        self._thread.start()
        return self.url

    def stop(self) -> None:
        """Stop serving; the repositories stay on disk. Harmless when called twice."""
        if self._thread:
            self._server.shutdown()
            self._thread.join(10)
            self._thread = None
        self._server.close_connections()
        self._server.server_close()
        self._postman.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def clone_url(self, name: str) -> str:
        """Return a repository's address for git, without a login."""
        return f"{self.url}/{self[name].full_name}.git"

    def __getitem__(self, name: str) -> StoredRepository:
        found = self.find(name if "/" in name else f"{self.username}/{name}")
        if found is None:
            raise KeyError(name)
        return found

    def find(self, full_name: str) -> StoredRepository | None:
        """Return a repository by its name, or by a name that it once had; None where there is none."""
        wanted = full_name.lower()
        for repository in self.repositories:
            if repository.full_name.lower() == wanted:
                return repository
        number = self._moved.get(wanted)
        return next((item for item in self.repositories if item.id == number), None)

    def create_repository(
        self, name: str, files: Files | None = None, *, branch: str = "main", message: str = "Begin the site"
    ) -> str:
        """Make a repository, with a first commit where ``files`` are given; return the commit's id or ""."""
        repository = self._new(name, branch)
        make_bare(repository.folder, branch)
        self.repositories.append(repository)
        return self.commit(name, files, message, branch=branch) if files else ""

    def import_repository(self, name: str, source: "str | Path") -> str:
        """Make a copy of another repository, given by path or URL, and return the head of its branch."""
        repository = self._new(name, "")
        repository.default_branch = import_bare(str(source), repository.folder)
        self.repositories.append(repository)
        return repository.branches().get(repository.default_branch, "")

    def _new(self, name: str, branch: str) -> StoredRepository:
        owner, _, short = name.rpartition("/")
        number = max((item.id for item in self.repositories), default=0) + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        return StoredRepository(number, owner or self.username, short, self.folder / f"{number}.git", branch)

    def rename(self, name: str, new_name: str) -> None:
        """Rename a repository; its old name goes on leading to it."""
        repository = self[name]
        self._moved[repository.full_name.lower()] = repository.id
        owner, _, repository.name = new_name.rpartition("/")
        repository.owner = owner or repository.owner

    def commit(
        self,
        name: str,
        files: Files,
        message: str = "Change the site",
        *,
        branch: str = "",
        author: Author | None = None,
        push: bool = True,
    ) -> str:
        """Commit to a branch and tell the hooks; return the commit's id. In ``files``, None deletes a path."""
        repository = self[name]
        branch = branch or repository.default_branch
        who = author or Author(email=self.email)
        if not push:
            return repository.commit(files, message, branch, who)
        with self.watched(repository):
            return repository.commit(files, message, branch, who)

    def push(self, name: str, branch: str, commit: str) -> None:
        """Let a branch point at a commit that is there already, as a push would, and tell the hooks."""
        repository = self[name]
        with self.watched(repository):
            repository.move_branch(branch, commit)

    @contextmanager
    def watched(self, repository: StoredRepository) -> Iterator[None]:
        """Tell the hooks about every branch that moved in the meantime."""
        with repository.lock:
            before = repository.branches()
            yield
            after = repository.branches()
            repository.pushed = datetime.now(UTC)
            for branch in sorted(before.keys() | after.keys()):
                old, new = before.get(branch, ZERO), after.get(branch, ZERO)
                if old != new:
                    self._announce(repository, branch, old, new)

    def _announce(self, repository: StoredRepository, branch: str, before: str, after: str) -> None:
        hooks = [hook for hook in repository.hooks.values() if hook.active and {"push", "*"} & set(hook.events)]
        if hooks:
            payload = self.documents.push(repository, branch, before, after)
            for hook in hooks:
                self._postman.post(hook, "push", payload)

    def add_hook(
        self,
        name: str,
        config: "str | Mapping[str, str]",
        events: "list[str] | None" = None,
        *,
        secret: str = "",
        active: bool = True,
    ) -> Hook:
        """Add a hook, by its URL or its whole config, and ping it."""
        repository = self[name]
        if isinstance(config, str):
            config = {"url": config, "content_type": "json", "insecure_ssl": "0", "secret": secret}
        self._hook_numbers += 1
        hook = Hook(self._hook_numbers, dict(config), events or ["push"], active)
        repository.hooks[hook.id] = hook
        self.ping(name, hook)
        return hook

    def ping(self, name: str, hook: Hook) -> Delivery:
        """Send a ping to a hook."""
        return self._postman.post(hook, "ping", self.documents.ping(self[name], hook))

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send a delivery again, with the same GUID and body."""
        return self._postman.repeat(delivery)

    def wait_for_deliveries(self, seconds: float = 30.0) -> None:
        """Wait until all hooks have been called. Raises ``TimeoutError``."""
        self._postman.wait(seconds)
