"""The stage of the fault tests: a forge, an FTP server, a database, a broker, and the project's real processes."""

import http.client
import json
import random
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from django.db import OperationalError, connections
from django.db.models import QuerySet

from ftp_deploy.models import Deploy, Service
from ftp_deploy.standalone.forge import Forge
from ftp_deploy.standalone.forge.deliveries import signatures
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.programs import wait_until
from tests.servers.project import Project, new_token, seen
from tests.servers.proxy import FTPProxy, Proxy
from tests.servers.vsftpd import Vsftpd

SETTLE_SECONDS = 240.0
"""How long everything may take to come to rest once the faults have stopped."""


@dataclass
class Push:
    """One push of one site: what the forge sends, and what it was told."""

    site: "Site"
    before: str
    after: str
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether any delivery was answered 2xx."""
        return any(200 <= status < 300 for status in self.answers)

    def deliver(self, url: str, *, guid: str = "", timeout: float = 60.0) -> int:
        """Send the hook to a web server; return the status, 0 where no answer came."""
        status = post(f"{url}/ftpdeploy/deploy/{self.site.secret_key}", self.request(guid), timeout)
        self.answers.append(status)
        return status

    def request(self, guid: str = "") -> tuple[bytes, dict[str, str]]:
        """Return the body and headers of the hook, signed as GitHub signs it."""
        forge, name = self.site.stage.forge, self.site.name
        body = json.dumps(forge.documents.push(forge[name], "main", self.before, self.after)).encode()
        headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": guid or self.guid, "Content-Type": "application/json"}
        return body, {**headers, **signatures(self.site.hook_secret, body)}

    def deliver_until_stored(self, url: str, seconds: float = 120.0) -> None:
        """Deliver again under the same id, as a person would at the forge, until it is answered 2xx."""
        wait_until(lambda: 200 <= self.deliver(url) < 300, "the push is taken", seconds, pause=0.3)


def post(url: str, request: tuple[bytes, dict[str, str]], timeout: float) -> int:
    """Send one POST; return its status, 0 for none."""
    body, headers = request
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("POST", parts.path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Site:
    """One service: a repository on the forge and a folder on the FTP server."""

    def __init__(self, stage: "Stage", name: str, **values: Any) -> None:
        self.stage = stage
        self.name = name
        self.tree: dict[str, bytes] = {}
        self.pushes: list[Push] = []
        self.hook_secret = new_token()[:30]
        self.folder = stage.server.folder / name
        stage.server.make_folder(name)
        stage.forge.create_repository(name)
        made = Service.objects.using(stage.alias).create(
            protocol="ftp",
            host="127.0.0.1",
            port=stage.ftp.port,
            username=stage.server.username,
            password=stage.server.password,
            path=f"/site/{name}",
            provider="github",
            repository_name=name,
            repository_slug=f"webmaster/{name}",
            branch="main",
            hook_secret=self.hook_secret,
            **{"max_connections": 3, **values},
        )
        self.pk: int = made.pk
        self.secret_key: str = made.secret_key

    @property
    def service(self) -> Service:
        """The stored service."""
        return Service.objects.using(self.stage.alias).get(pk=self.pk)

    @property
    def deploys(self) -> QuerySet[Deploy]:
        """Its deploys, in order."""
        return Deploy.objects.using(self.stage.alias).filter(service=self.pk).order_by("position", "pk")

    def commit(self, files: Mapping[str, bytes | None]) -> Push:
        """Commit to the forge and return the push that the hook has to tell of."""
        before = self.pushes[-1].after if self.pushes else "0" * 40
        after = self.stage.forge.commit(self.name, files, f"change {len(self.pushes) + 1}", push=False)
        self.tree = {path: content for path, content in {**self.tree, **files}.items() if content is not None}
        push = Push(self, before, after)
        self.pushes.append(push)
        return push

    def live(self) -> dict[str, bytes]:
        """Return what lies on the server, whoever put it there."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                with suppress(FileNotFoundError):  # the probe file of a check comes and goes
                    found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found

    def random_change(self, chance: random.Random) -> dict[str, bytes | None]:
        """Return some new, changed and deleted files, never nothing and never all."""
        names = [f"{chance.choice(['', 'css/', 'img/a/', 'img/b/'])}file-{number}.txt" for number in range(12)]
        changed: dict[str, bytes | None] = {
            name: chance.randbytes(chance.choice([0, 10, 2000, 60_000])) for name in chance.sample(names, 5)
        }
        for name in chance.sample(sorted(self.tree), min(len(self.tree) // 4, 2)):
            if name != "index.html":
                changed[name] = None
        return {**changed, "index.html": f"change {len(self.pushes) + 1}".encode() + chance.randbytes(8)}


class Stage:
    """Everything that runs. ``database`` and ``broker`` are what the project is told; proxies stand in between."""

    def __init__(self, project: Project, forge: Forge, server: Vsftpd, ftp: FTPProxy, alias: str) -> None:
        self.project = project
        self.forge = forge
        self.server = server
        self.ftp = ftp
        self.alias = alias
        self.sites: list[Site] = []
        self.secrets = [server.password, forge.token]
        self.git: Proxy
        """Between the project and the forge."""
        self.broker: Proxy | None = None
        self.overheard = bytearray()
        """Everything that went to the broker through its proxy."""

    def add_site(self, **values: Any) -> Site:
        """Add a service with an empty repository."""
        site = Site(self, f"site{len(self.sites)}-{uuid.uuid4().hex[:6]}", **values)
        self.sites.append(site)
        self.secrets.append(site.hook_secret)
        return site

    def unfinished(self) -> int:
        """Return how many deploys wait or run; -1 where the database is away."""
        try:
            return Deploy.objects.using(self.alias).unfinished().count()
        except OperationalError:
            connections[self.alias].close()
            return -1

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until no deploy waits or runs."""
        try:
            wait_until(lambda: not self.unfinished(), "every deploy is final", seconds, pause=0.1)
        except TimeoutError:
            rows = list(Deploy.objects.using(self.alias).unfinished().values())
            raise AssertionError(f"{rows}\n{self.project.logs()[-12000:]}") from None


@dataclass(frozen=True)
class Setting:
    """What a stage runs on. An empty database is a SQLite file, an empty broker the embedded one."""

    postgresql: PostgreSQL | MariaDB | None = None
    broker_port: int = 0
    broker_scheme: str = ""

    def broker_url(self, port: int) -> str:
        """Return the broker's URL at a port, which may be a proxy's."""
        return {
            "redis": f"redis://127.0.0.1:{port}/0",
            "amqp": f"amqp://guest:guest@127.0.0.1:{port}//",
            "": "",
        }[self.broker_scheme]


@contextmanager
def stage(setting: Setting, **settings: Any) -> Iterator[Stage]:
    """Build a stage without any process yet, and take it down."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_folder()))
        forge = stack.enter_context(Forge(folder, token=new_token()))
        server = Vsftpd()
        server.password = new_token()
        stack.enter_context(server)
        ftp = stack.enter_context(FTPProxy(server.port))
        git = stack.enter_context(Proxy(urlsplit(forge.url).port or 0))
        project = stack.enter_context(_project(setting, forge, git.port, settings))
        broker = None
        if setting.broker_port:
            broker = stack.enter_context(Proxy(setting.broker_port))
            project.broker_url = setting.broker_url(broker.port)
        made = Stage(project, forge, server, ftp, stack.enter_context(seen(project)))
        made.git = git
        if broker:
            made.broker = broker
            broker.watch = lambda direction, data: made.overheard.extend(data)
        yield made


@contextmanager
def _folder() -> Iterator[str]:
    import tempfile

    folder = tempfile.mkdtemp(prefix="stage-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _project(setting: Setting, forge: Forge, port: int, settings: Mapping[str, Any]) -> Project:
    account = {"username": forge.username, "password": forge.token, "url": f"http://127.0.0.1:{port}"}
    queue = f"queue-{uuid.uuid4().hex[:10]}"
    project = Project(
        migrated(setting.postgresql) if setting.postgresql else "",
        "",
        DEPLOY_GITHUB_SETTINGS=account,
        CELERY_TASK_DEFAULT_QUEUE=queue,
        **settings,
    )
    if not setting.postgresql:
        copy_migrated(Path(urlsplit(project.database_url).path))
    return project


_templates: dict[Any, Any] = {}


def migrated(server: PostgreSQL | MariaDB) -> str:
    """Return the URL of a new database with all tables: on PostgreSQL a copy of one that was migrated once."""
    if isinstance(server, MariaDB):
        with Project(server.new_database(f"stage_{uuid.uuid4().hex[:10]}"), "memory://") as project:
            project.manage("migrate", "-v0")
        return project.database_url
    if _templates.get(server.port) is None:
        with Project(server.new_database(), "memory://") as project:
            project.manage("migrate", "-v0")
        _templates[server.port] = urlsplit(project.database_url).path.lstrip("/")
    name = f"stage_{uuid.uuid4().hex[:10]}"
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_templates[server.port]}"')
    return server.url(name)


CHECKPOINT = "from django.db import connection; connection.cursor().execute('PRAGMA wal_checkpoint(TRUNCATE)')"


def copy_migrated(path: Path) -> None:
    """Put a SQLite file with all tables at a path."""
    if "sqlite" not in _templates:
        with Project("", "memory://") as project:
            project.manage("migrate", "-v0")
            project.python(CHECKPOINT)
            _templates["sqlite"] = Path(urlsplit(project.database_url).path).read_bytes()
    path.write_bytes(_templates["sqlite"])


class Stopwatch:
    """Measures a block: ``with Stopwatch() as watch: ...`` and then ``watch.seconds``."""

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
