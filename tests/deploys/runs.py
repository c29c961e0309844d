"""A made-up origin, a site and one run: the words in which the tests of the runner speak."""

from collections.abc import Callable

from ftp_deploy.deploys import lease, queue, runner
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import Commit, PushEvent
from ftp_deploy.transports.memory import Store
from tests.deploys.trees import Files, snapshot

State = Deploy.State


class Origin:
    """Commits of made-up trees, pushed to the service one after the other."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.trees: dict[str, Files] = {}
        self.head = ""
        self.fault: Exception | None = None
        self.fetches = 0

    def push(self, files: Files) -> Deploy:
        """Push a commit that holds exactly these files, and record it as its webhook would."""
        number = len(self.trees)
        with snapshot(files, f"commit {number}") as made:
            before, self.head = self.head, made.commit
        self.trees[self.head] = dict(files)
        event = PushEvent("main", before, self.head, (Commit(self.head, f"commit {number}", "Webmaster"),))
        return queue.record_push(self.service, f"delivery-{number}", event).deploy

    def fetch(self, _service: Service, commit: str = ""):
        """Stand in for the fetch over the network."""
        self.fetches += 1
        if self.fault:
            raise self.fault
        wanted = commit or self.head
        return snapshot(self.trees[wanted], f"commit {list(self.trees).index(wanted)}")


SITE: Files = {"index.html": b"one", "css/site.css": b"body {}", "old/page.html": b"gone soon", "empty": b""}


def live(server: Store) -> dict[str, bytes]:
    return server.tree("/www")


def run(service: Service, stop: Callable[[], bool] = lease.never) -> int:
    return runner.run_service(service.pk, stop)


def reload(deploy: Deploy) -> Deploy:
    return Deploy.objects.get(pk=deploy.pk)
