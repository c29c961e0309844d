"""What the demo shows: first deploy, incremental deploy, delete, a failed deploy that is restored."""

import ftplib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ftp_deploy.deploys import queue, restore
from ftp_deploy.models import Deploy, Service
from ftp_deploy.models.deploy import ChangeAction, DeployState
from ftp_deploy.standalone.demo.clone import Clone
from ftp_deploy.standalone.demo.compare import committed_files, compare, served_files
from ftp_deploy.standalone.demo.stage import LOOPBACK, REPOSITORY, SITE_PATH, USER, DemoFailed, Stage, wait_until

DEPLOY_SECONDS = 300.0
SETTLE_SECONDS = 30.0
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>This page came by a push.</p></body>
</html>
"""
NEW_FOLDER = "ftp-deploy-demo"
NEW_PAGE = f"{NEW_FOLDER}/hello.html"
SECOND_PAGE = f"{NEW_FOLDER}/Grüße aus dem Hafen.html"
LATE_PAGE = f"{NEW_FOLDER}/late.html"


def page(title: str) -> bytes:
    """Return a small page."""
    return PAGE.format(title=title).encode()


@dataclass
class Story:
    """The steps, in order. Each one raises ``DemoFailed`` where the server does not hold what git says."""

    stage: Stage
    say: Callable[[str], None]
    clone: Clone = field(init=False)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.clone = Clone(self.stage.work, self.stage.remote, self.stage.branch)
        self.clone.make()

    def create_service(self) -> None:
        """Make the service and add the hook on the forge, as a person does on the dashboard."""
        service = Service(
            protocol="ftp",
            host=LOOPBACK,
            port=self.stage.ports["ftp"],
            username=USER,
            password=self.stage.ftp_password,
            path=SITE_PATH,
            provider="github",
            repository_name=REPOSITORY.rpartition("/")[2],
            repository_slug=REPOSITORY,
            branch=self.stage.branch,
            site_url=self.stage.url("site") + SITE_PATH,
        )
        service.full_clean()
        service.save()
        hook_url = f"{self.stage.url('web')}/deploy/{service.secret_key}"
        service.hook_id = service.forge().add_hook(REPOSITORY, hook_url, service.hook_secret).id
        service.save(update_fields=["hook_id"])
        self.service = service
        self.say(f"service made: {service}, {service.host}:{service.port}{service.path}; hook added on the forge")

    def first_deploy(self) -> None:
        """Deploy everything."""
        deploy = self.finished(queue.deploy_now(self.service))
        self.expect(deploy, DeployState.SUCCEEDED)
        self.check(deploy, "the whole site")

    def incremental(self) -> None:
        """Push two new pages and a change of one of them: only those are sent."""
        first = self.push({NEW_PAGE: page("Hello"), SECOND_PAGE: page("Grüße")}, "Say hello")
        self.expect(first, DeployState.SUCCEEDED, add=2)
        self.check(first, "two new files, one with a space and an umlaut in its name")
        second = self.push({NEW_PAGE: page("Hello again")}, "Say hello again")
        self.expect(second, DeployState.SUCCEEDED, modify=1)
        self.check(second, "one changed file")

    def delete(self) -> None:
        """Push a commit that deletes a file."""
        deploy = self.push({SECOND_PAGE: None}, "Remove the greetings")
        self.expect(deploy, DeployState.SUCCEEDED, delete=1)
        self.check(deploy, "one deleted file")

    def fail_and_restore(self) -> None:
        """Change the password on the server, push, see it fail, correct the service, restore."""
        self.stage.change_ftp_password(secrets.token_urlsafe(9))
        failed = self.push({LATE_PAGE: page("Late"), NEW_PAGE: page("Hello, once more")}, "Too early")
        self.expect(failed, DeployState.FAILED)
        self.say(f"the password on the server was changed: deploy failed, as it must: {failed.error}")
        if self.stage.ftp_password in failed.error or self.service.password in failed.error:
            raise DemoFailed("the error shows a password")
        self.service.password = self.stage.ftp_password
        self.service.save(update_fields=["password"])
        restored = self.finished(restore.restore(self.service))
        self.expect(restored, DeployState.SUCCEEDED, add=1, modify=1)
        failed.refresh_from_db()
        self.expect(failed, DeployState.RESTORED)
        self.check(restored, "restored: one new file, one changed file")

    def push(self, files: dict[str, bytes | None], message: str) -> Deploy:
        """Commit and push; return the deploy that the hook brought, once it is over."""
        commit = self.clone.push(files, message)

        def arrived() -> bool:
            self.stage.check_processes()
            return self.service.deploys.filter(after=commit).exists()

        wait_until(arrived, DEPLOY_SECONDS, f"the hook for {commit[:10]} arrives")
        return self.finished(self.service.deploys.get(after=commit))

    def finished(self, deploy: Deploy) -> Deploy:
        """Wait for the end of a deploy and return it as it is then."""

        def over() -> bool:
            self.stage.check_processes()
            deploy.refresh_from_db()
            return deploy.is_final

        wait_until(over, DEPLOY_SECONDS, f"{deploy} ends (last seen: {deploy.state}, {deploy.phase})")
        return deploy

    def expect(self, deploy: Deploy, state: DeployState, **counts: int) -> None:
        """Raise ``DemoFailed`` unless the deploy has this state and changed so many files by action."""
        if deploy.state != state:
            raise DemoFailed(f"{deploy} is {deploy.state}, not {state}: {deploy.error} {deploy.advice}")
        for action, wanted in counts.items():
            found = deploy.changes.filter(action=ChangeAction(action)).count()
            if found != wanted:
                raise DemoFailed(f"{deploy} has {found} files to {action}, not {wanted}")

    def check(self, deploy: Deploy, what: str) -> None:
        """Read the server back, compare it with git, and say so.

        After each deploy the service is checked, and for that moment its probe file lies beside the site: a server that
        differs is read again, for ``SETTLE_SECONDS`` at most.
        """
        started = time.monotonic()
        committed = committed_files(self.stage.bare_repository, deploy.commit)
        while difference := self._difference(committed):
            if time.monotonic() - started > SETTLE_SECONDS:
                raise DemoFailed(f"{what}: the server differs from {deploy.commit[:10]}: {difference}")
            time.sleep(0.2)
        took = deploy.duration.total_seconds() if deploy.duration else 0.0
        self.say(
            f"{what}: {deploy.files_done} files in {took:.1f} s; the server equals commit {deploy.commit[:10]}: "
            f"{len(committed)} files read back over FTP, byte for byte ({time.monotonic() - started:.1f} s)"
        )

    def _difference(self, committed: dict[str, bytes]) -> str:
        """Return how the server differs from the files; empty where it does not."""
        try:
            served = served_files(self.stage.ports["ftp"], USER, self.stage.ftp_password, SITE_PATH)
        except ftplib.error_perm as error:
            return f"a file of the listing could not be read: {error}"
        return str(compare(committed, served))
