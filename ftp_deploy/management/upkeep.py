"""``sweep``, ``prune`` and ``rotate-keys``: what keeps the app going."""

from argparse import Namespace
from typing import TextIO

from ftp_deploy import notifications, rotation
from ftp_deploy.deploys import retention, sweep


def sweep_now(options: Namespace, out: TextIO) -> int:
    """Wake the services for which something waits, and send the messages that wait; for cron where there is no beat."""
    out.write(f"{sweep.sweep()} services woken, {notifications.deliver_due()} messages tried.\n")
    return 0


def prune(options: Namespace, out: TextIO) -> int:
    """Delete the file lists, logs and messages of old deploys."""
    for word, count in retention.prune(options.days).items():
        out.write(f"{count} {word} deleted\n")
    return 0


def rotate_keys(options: Namespace, out: TextIO) -> int:
    """Encrypt every secret again with the first key; 1 where a secret cannot be read."""
    result = rotation.rotate()
    out.write(f"{result.done} secrets encrypted with the first key.\n")
    for name in result.unreadable:
        out.write(f"Cannot be read with any key: {name}\n")
    if result.unreadable:
        out.write("Put their key into FTP_DEPLOY_ENCRYPTION_KEYS, or enter these secrets again.\n")
    return 1 if result.unreadable else 0
