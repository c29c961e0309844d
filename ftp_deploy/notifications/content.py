"""What a message says: the context of all templates, as the user guide documents it, and the subject."""

from typing import Any

from django.template.loader import render_to_string

from ftp_deploy import links
from ftp_deploy.models import Change, Deploy, Message
from ftp_deploy.models.message import Event
from ftp_deploy.notifications.recipients import commits_of

TEMPLATES = {
    Event.SUCCESS: "success",
    Event.RECOVERED: "success",
    Event.FAIL: "fail",
    Event.SERVICE_FAILING: "service_failing",
    Event.SERVICE_OK: "service_ok",
}
LONGEST_SUBJECT = 200


def context_of(message: Message) -> dict[str, Any]:
    """Return the context of a message's templates.

    ``service``, ``host``, ``commits_info`` (``[[message, user, raw node], ...]``), ``files_added``, ``files_modified``,
    ``files_removed`` (lists of paths), ``error``; beside them ``deploy`` (None for news of a service), ``url`` (the
    page that tells more, may be empty), ``event`` and ``recovered`` (a success after a failure).
    """
    service, deploy = message.service, message.deploy
    context: dict[str, Any] = {
        "service": service,
        "host": links.host(),
        "deploy": deploy,
        "event": message.event,
        "recovered": message.event == Event.RECOVERED,
        "error": service.status_message,
        "url": links.service_url(service),
        "commits_info": [],
        "files_added": [],
        "files_modified": [],
        "files_removed": [],
    }
    return {**context, **_about(deploy)} if deploy is not None else context


def _about(deploy: Deploy) -> dict[str, Any]:
    paths: dict[str, list[str]] = {action: [] for action in Change.Action.values}
    for path, action in deploy.changes.order_by("path").values_list("path", "action"):
        paths[action].append(path)
    return {
        "error": deploy.error,
        "url": links.deploy_url(deploy),
        "commits_info": [
            [commit.get("message", ""), commit.get("author_name", ""), commit.get("id", "")]
            for commit in commits_of(deploy)
        ],
        "files_added": paths[Change.Action.ADD],
        "files_modified": paths[Change.Action.MODIFY],
        "files_removed": paths[Change.Action.DELETE],
    }


def subject_of(message: Message, context: dict[str, Any]) -> str:
    """Return the subject: one line of bounded length, whatever the names in it hold."""
    name = TEMPLATES[Event(message.event)]
    return one_line(render_to_string(f"ftp_deploy/email/subject_{name}.txt", context))[:LONGEST_SUBJECT]


def one_line(text: str) -> str:
    """Return ``text`` without line ends and control characters: nothing in it can begin a header of its own."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())
