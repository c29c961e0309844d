"""Who may see what: the services of a person, and the two groups that most sites need."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.db.models import Exists, OuterRef, Q, QuerySet

from ftp_deploy.models import Notification, Service

OPERATORS = "Deploy operators"
"""See everything, deploy, restore, skip; change no service."""
VIEWERS = "Deploy viewers"
"""See services, deploys and notification sets."""

VIEWED: Sequence[str] = ("view_service", "view_deploy", "view_change", "view_logline", "view_notification")
OPERATED: Sequence[str] = ("deploy_service", "restore_service", "skip_deploy")


def services_for(user: Any) -> QuerySet[Service]:
    """Return the services that a person may see; the permissions say what they may do with them.

    A service that names groups is seen by their members and by superusers alone, any other by everybody.
    """
    if not user.is_active:
        return Service.objects.none()
    if user.is_superuser:
        return Service.objects.all()
    return Service.objects.filter(Q(groups=None) | Q(groups__in=user.groups.all())).distinct()


def notifications_for(user: Any) -> QuerySet[Notification]:
    """Return the notification sets that a person may see: those of their services, and those that no service uses.

    The set of a service that they may not see names the people of somebody else.
    """
    users = Service.objects.filter(notification=OuterRef("pk"))
    seen = services_for(user).filter(notification=OuterRef("pk"))
    return Notification.objects.filter(~Exists(users.order_by()) | Exists(seen.order_by()))


def may_see(user: Any, service: Service) -> bool:
    """Whether a person may see this service."""
    return services_for(user).filter(pk=service.pk).exists()


def make_groups(app_config: AppConfig, using: str = "default", **_signal: Any) -> None:
    """Make the two groups where they do not exist yet; a receiver of ``post_migrate``.

    A group that exists is left as it is: its permissions are the site's own affair.
    """
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth.models import Group, Permission

    create_permissions(app_config, verbosity=0, using=using)
    found = Permission.objects.using(using).filter(content_type__app_label=app_config.label)
    for name, wanted in ((VIEWERS, VIEWED), (OPERATORS, (*VIEWED, *OPERATED))):
        group, created = Group.objects.using(using).get_or_create(name=name)
        if created:
            group.permissions.set(found.filter(codename__in=wanted))
