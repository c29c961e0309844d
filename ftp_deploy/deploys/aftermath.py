"""After the switch: call the addresses that a service names, look whether its site is well, go back where it is not.

What the addresses answer is written into the deploy's log. A call that fails is a warning and no more: the files are
live. A site that is not well marks the deploy, and may bring the last good commit back.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from ftp_deploy.calls import call
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.restore import roll_back
from ftp_deploy.deploys.waiting import wait_for
from ftp_deploy.exceptions import CallFailed, FTPDeployError, WorkerStopping
from ftp_deploy.models import Deploy, Service

MOST_CALLS = 20
AT_ONCE = 4
HEALTH_ATTEMPTS = 3
HEALTH_PAUSE = 2.0
"""Seconds between two looks at a site: one that starts anew may need a moment."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one call brought: whether it was a 2xx answer, and words for the log."""

    ok: bool
    words: str


def after_switch(recorder: Recorder, service: Service) -> None:
    """Make the calls and the health check of a service, and write what they brought. Raises ``LeaseLost`` alone."""
    urls = addresses(service.after_urls)
    if not urls and not _is_checked(service):
        return
    recorder.enter(Deploy.Phase.CHECKING)
    recorder.flush()
    try:
        for result in wait_for(lambda: _call_all(urls), recorder.lease.guard_files):
            (recorder.log if result.ok else recorder.warn)(result.words)
        if _is_checked(service):
            _record_health(recorder, wait_for(lambda: look(service.site_url), recorder.lease.guard_files))
    except WorkerStopping:
        recorder.warn("The worker was stopped while it looked at the site; nobody knows whether the site is well.")
    recorder.flush()


def addresses(text: str) -> list[str]:
    """Return the addresses of a text, one a line; blank lines and those that begin with # are left out."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")][:MOST_CALLS]


def _is_checked(service: Service) -> bool:
    return bool(service.health_check and service.site_url)


def _call_all(urls: Iterable[str]) -> list[Result]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, urls))


def ask(url: str) -> Result:
    """Get an address once. The words name its host alone: the rest may hold a token."""
    name = f"{urlsplit(url).scheme}://{urlsplit(url).hostname or '?'}/…"
    try:
        answer = call("GET", url)
    except CallFailed as error:
        return Result(False, f"Calling {name} failed: {error.message}")
    words = f"{name} answered {answer.status} in {answer.seconds:.1f} s."
    return Result(answer.ok, words)


def look(url: str) -> Result:
    """Look at a site, again after a pause where it is not well at once."""
    result = ask(url)
    for _ in range(HEALTH_ATTEMPTS - 1):
        if result.ok:
            break
        time.sleep(HEALTH_PAUSE)
        result = ask(url)
    return result


def _record_health(recorder: Recorder, result: Result) -> None:
    if result.ok:
        recorder.log(f"The site is well: {result.words}")
        recorder.write(healthy=True)
        return
    text = f"The files are live, but the site is not well: {result.words}"
    recorder.warn(text)
    recorder.write(
        healthy=False, error=text, error_kind="SiteUnhealthy", advice="Look at the site, then push a fix or roll back."
    )


def go_back(recorder: Recorder, service: Service) -> Deploy | None:
    """Bring the last good commit back where this deploy made the site ill and the service says so.

    Returns the new deploy, or None where there is nothing to go back to. A roll back is never rolled back itself, and
    a push that waits already goes live instead.
    """
    deploy = recorder.deploy
    if deploy.healthy is not False or not service.roll_back_unhealthy or deploy.kind == Deploy.Kind.ROLLBACK:
        return None
    commit = last_good_commit(deploy)
    if not commit or service.deploys.filter(state=Deploy.State.QUEUED).exists():
        return None
    try:
        return roll_back(service, commit)
    except FTPDeployError:
        return None


def last_good_commit(deploy: Deploy) -> str:
    """Return the commit that was live and not known to be ill before this deploy; empty where there was none."""
    earlier = Deploy.objects.filter(
        service=deploy.service_id, state=Deploy.State.SUCCEEDED, finished_at__lt=deploy.finished_at
    ).exclude(commit__in=["", deploy.commit])
    found = earlier.exclude(healthy=False).order_by("-finished_at", "-pk").first()
    return found.commit if found else ""
