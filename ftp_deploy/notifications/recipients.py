"""Who is told: the addresses of a set, who pushed, and who has a commit in the deploy. Each person once."""

from collections.abc import Iterable, Iterator

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from ftp_deploy.models import Deploy, Notification

MOST_PEOPLE = 100
"""Mails for one outcome. Addresses of commits come from the repository, so their number needs a limit."""
UNREAD = ("@users.noreply.github.com", "@users.noreply.gitlab.com", "@noreply.gitea.io", "@localhost")
"""Ends of addresses that forges make up and nobody reads."""


def people(notification: Notification, deploy: Deploy, *, success: bool, fail: bool) -> list[str]:
    """Return the addresses that hear of an outcome; with both flags, of a success after a failure."""
    return distinct(_candidates(notification, deploy, success, fail))[:MOST_PEOPLE]


def _candidates(notification: Notification, deploy: Deploy, success: bool, fail: bool) -> Iterator[str]:
    yield from named(notification, success=success, fail=fail)
    if (success and notification.deploy_user_success) or (fail and notification.deploy_user_fail):
        yield from _pushers(deploy)
    if (success and notification.commit_user_success) or (fail and notification.commit_user_fail):
        yield from (str(commit.get("author_email") or "") for commit in commits_of(deploy))


def named(notification: Notification, *, success: bool, fail: bool) -> list[str]:
    """Return the addresses that stand in the set itself."""
    return [
        address.email
        for address in notification.addresses.all()
        if (success and address.on_success) or (fail and address.on_fail)
    ]


def _pushers(deploy: Deploy) -> Iterator[str]:
    for each in (deploy, *deploy.included.all()):
        yield each.user_email
        if each.requested_by is not None:
            yield str(getattr(each.requested_by, "email", "") or "")


def commits_of(deploy: Deploy) -> list[dict[str, str]]:
    """Return the commits that a run put live, oldest first: its own and those of the pushes it carried."""
    found: dict[str, dict[str, str]] = {}
    for each in sorted((*deploy.included.all(), deploy), key=lambda row: (row.position, row.pk)):
        for commit in each.commits:
            found.setdefault(commit.get("id", ""), commit)
    return list(found.values())


def distinct(addresses: Iterable[str]) -> list[str]:
    """Return each usable address once, whatever its case; forges send addresses that are none."""
    found: dict[str, str] = {}
    for address in addresses:
        text = address.strip()
        if is_address(text):
            found.setdefault(text.lower(), text)
    return list(found.values())


def is_address(text: str) -> bool:
    """Say whether a mail to ``text`` may reach a person."""
    try:
        validate_email(text)
    except ValidationError:
        return False
    return not text.lower().endswith(UNREAD)
