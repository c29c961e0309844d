"""Which services a person sees."""

from typing import Any

from django.db.models import QuerySet

from ftp_deploy.models import Service


def services_for(user: Any) -> QuerySet[Service]:
    """Return the services that ``user`` may see; the permissions say what they may do with them."""
    return Service.objects.all()
