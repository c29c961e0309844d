"""The data: fields, states and querysets; no network, no git, no mail."""

from ftp_deploy.models.account import Account
from ftp_deploy.models.audit import AuditEntry, Heartbeat, LeaseEvent
from ftp_deploy.models.deploy import Change, Deploy, LogLine
from ftp_deploy.models.message import Message
from ftp_deploy.models.notification import Address, Notification
from ftp_deploy.models.service import Service, ServiceManifest
from ftp_deploy.models.tally import Tally

__all__ = [
    "Account",
    "Address",
    "AuditEntry",
    "Change",
    "Deploy",
    "Heartbeat",
    "LeaseEvent",
    "LogLine",
    "Message",
    "Notification",
    "Service",
    "ServiceManifest",
    "Tally",
]
