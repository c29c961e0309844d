"""Who is told what, by which way: mails, channels, webhooks, and the mark beside a commit.

A deploy's outcome is stored first. Then its messages are written down, one row for each recipient, and sent; a row
that could not be sent is tried again later. Nothing here ever changes a deploy.
"""

from ftp_deploy.deploys.lease import StopAsked, never
from ftp_deploy.models import Deploy, Message
from ftp_deploy.notifications.outbox import deliver, deliver_due, write_down
from ftp_deploy.notifications.sets import channel_labels, listed, send_test

__all__ = ["channel_labels", "deliver_due", "listed", "send", "send_test"]


def send(deploy: Deploy, stop_asked: StopAsked = never) -> None:
    """Tell everyone concerned how a deploy stands: its beginning to the forge, its outcome to everybody, each once."""
    write_down(deploy)
    deliver(Message.objects.due().filter(deploy=deploy), stop_asked)
