"""The Django admin: everything that the app can do, without the dashboard."""

from ftp_deploy.admin.deploy import DeployAdmin
from ftp_deploy.admin.notification import MessageAdmin, NotificationAdmin
from ftp_deploy.admin.records import AccountAdmin, AuditEntryAdmin
from ftp_deploy.admin.service import ServiceAdmin

__all__ = ["AccountAdmin", "AuditEntryAdmin", "DeployAdmin", "MessageAdmin", "NotificationAdmin", "ServiceAdmin"]
