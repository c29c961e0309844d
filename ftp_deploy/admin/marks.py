"""States as a word with a mark: readable without colour, and text alone."""

from ftp_deploy.models import Deploy, Message, Service

MARKS: dict[str, str] = {
    Service.Status.OK: "✔",
    Service.Status.FAILING: "✘",
    Service.Status.UNKNOWN: "?",
    Deploy.State.QUEUED: "…",
    Deploy.State.RUNNING: "▶",
    Deploy.State.SUCCEEDED: "✔",
    Deploy.State.FAILED: "✘",
    Deploy.State.SKIPPED: "↷",
    Deploy.State.RESTORED: "↻",
    Deploy.State.CANCELLED: "■",
    Deploy.State.SUPERSEDED: "↷",
    Message.State.WAITING: "…",
    Message.State.SENT: "✔",
}
"""Marks by stored value; the values of the three models mean the same where they are the same."""


def marked(value: str, word: str) -> str:
    """Return ``word`` with the mark of a state."""
    return f"{MARKS.get(value, '')} {word}".strip()
