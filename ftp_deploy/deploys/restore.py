"""What a restore, a skip and a roll back would do, and doing it.

A restore puts the newest commit live that failed, with everything before it. A skip takes the server's state as right
for the files that a failed deploy would have changed: later deploys leave these alone until a commit changes them
again. A roll back puts an earlier commit live.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from ftp_deploy.deploys import tallies
from ftp_deploy.deploys.fetch import fetch_service
from ftp_deploy.deploys.planning import plan_service
from ftp_deploy.deploys.queue import User, add, add_in_turn, commit_since, lock
from ftp_deploy.deploys.skips import accept_changes, foreseen
from ftp_deploy.exceptions import CommitMissing, ConfigurationError
from ftp_deploy.models import Change, Deploy, Service
from ftp_deploy.models.deploy import DeployQuerySet


@dataclass(frozen=True, slots=True)
class Preview:
    """What a deploy would do. Paths are relative to the service's path on the server."""

    commit: str
    commits: tuple[dict[str, str], ...] = ()
    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Files that stay as they are on the server because a deploy was skipped."""
    warnings: tuple[str, ...] = ()


def restorable(service: Service) -> DeployQuerySet:
    """Select the failed deploys that a restore would put live, oldest first; skipped ones are left out."""
    failed: DeployQuerySet = Deploy.objects.filter(service=service).failed()
    return failed.exclude(kind=Deploy.Kind.ROLLBACK).in_order()


def is_restorable(deploy: Deploy) -> bool:
    """Whether a restore would put this deploy live: a failed roll back asked for an older commit."""
    return deploy.state == Deploy.State.FAILED and deploy.kind != Deploy.Kind.ROLLBACK


def preview_restore(service: Service) -> Preview:
    """Return what ``restore`` would do. Fetches the tree; raises what fetching and planning raise."""
    failed = _failed(service)
    return _preview(service, commit_since(service, failed[-1]), commits_of(failed))


def preview_rollback(service: Service, commit: str) -> Preview:
    """Return what ``roll_back`` would do."""
    known = service.deploys.filter(after=commit).first()
    return _preview(service, commit, list(known.commits) if known else [], exact=True)


def preview_full(service: Service) -> Preview:
    """Return what a full deploy of the branch's head would do."""
    return _preview(service, "", [], full=True)


def preview(service: Service, commit: str = "") -> Preview:
    """Return what a deploy of a commit, or of the branch's head, would do now."""
    return _preview(service, commit, [])


def restore(service: Service, user: User = None) -> Deploy:
    """Deploy the newest push since the first failed one; when that succeeds the failed deploys read "restored".

    Raises ``ConfigurationError`` where nothing failed.
    """

    def look() -> dict[str, Any]:
        failed = _failed(service)
        return {
            "before": failed[0].before,
            "after": commit_since(service, failed[-1]),
            "commits": commits_of(failed),
            "commits_complete": all(deploy.commits_complete for deploy in failed),
        }

    return add_in_turn(service, Deploy.Kind.RESTORE, user, look)


def skip(deploy: Deploy, user: User = None) -> None:
    """Accept the server's state for what a failed deploy would have changed.

    Raises ``ConfigurationError`` for a deploy that has not failed.
    """
    with transaction.atomic():
        lock(deploy.service_id)
        failed = Deploy.objects.filter(pk=deploy.pk, state=Deploy.State.FAILED)
        tallies.move(deploy.service_id, failed, Deploy.State.FAILED, Deploy.State.SKIPPED)
        skipped = failed.update(state=Deploy.State.SKIPPED, requested_by=user or deploy.requested_by)
        if not skipped:
            raise ConfigurationError(f"{deploy} has not failed, so there is nothing to skip.")
        unapplied = list(deploy.changes.exclude(state=Change.State.APPLIED))
        accept_changes(deploy.service_id, unapplied, deploy.service.manifest)
    deploy.refresh_from_db(fields=["state"])


def roll_back(service: Service, commit: str, user: User = None) -> Deploy:
    """Put an earlier commit live again; failed deploys stay failed. Raises ``ConfigurationError`` for no commit."""
    if not commit or not commit.isprintable():
        raise ConfigurationError("A roll back needs a commit.", advice="Take one of the list, or give its hash.")
    known = service.deploys.filter(after=commit).first()
    return add(service, Deploy.Kind.ROLLBACK, user, after=commit, commits=list(known.commits) if known else [])


def commits_of(deploys: list[Deploy]) -> list[dict[str, str]]:
    """Return the commits of several deploys, oldest first, each once."""
    found: dict[str, dict[str, str]] = {}
    for deploy in deploys:
        for commit in deploy.commits:
            found.setdefault(commit["id"], commit)
    return list(found.values())


def _failed(service: Service) -> list[Deploy]:
    failed = list(restorable(service))
    if not failed:
        raise ConfigurationError(f"No deploy of {service} has failed, so there is nothing to restore.")
    return failed


def _preview(
    service: Service, commit: str, commits: list[dict[str, str]], *, full: bool = False, exact: bool = False
) -> Preview:
    with fetch_service(service, commit) as snapshot:
        if exact and not snapshot.exact:
            raise CommitMissing(f"The forge does not give out commit {commit[:12]}.")
        manifest, unsettled, warnings = foreseen(service)
        planned = plan_service(service, snapshot, full=full, deletes_confirmed=True, manifest=manifest)
    by_action: dict[str, list[str]] = {action: [] for action in Change.Action.values}
    for change in planned.plan.changes:
        by_action[change.action].append(change.path)
    touched = {change.path for change in planned.plan.changes}
    return Preview(
        commit=snapshot.commit,
        commits=tuple(commits),
        added=tuple(by_action[Change.Action.ADD]),
        modified=tuple(by_action[Change.Action.MODIFY]),
        removed=tuple(by_action[Change.Action.DELETE]),
        left_out=tuple(path for path in sorted({*_skipped_paths(service), *unsettled}) if path not in touched),
        warnings=(*planned.plan.warnings, *warnings),
    )


def _skipped_paths(service: Service) -> list[str]:
    """Return the files that skipped deploys, since the last success, would have changed."""
    last: Any = service.deploys.filter(state=Deploy.State.SUCCEEDED).order_by("-position").values("position")[:1]
    rows = Change.objects.filter(deploy__service=service, deploy__state=Deploy.State.SKIPPED).exclude(
        state=Change.State.APPLIED
    )
    if last:
        rows = rows.filter(deploy__position__gt=last[0]["position"])
    return sorted(set(rows.values_list("path", flat=True)))
