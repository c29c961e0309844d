"""Accounts on forges, and the record of what people did, in the admin."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ftp_deploy.admin.base import AuditedAdmin, ModelAdmin, ReadOnly, SecretsForm, permitted
from ftp_deploy.models import Account, AuditEntry


@admin.register(Account)
class AccountAdmin(AuditedAdmin[Account]):
    """Logins on forges; the token is write-only."""

    form = SecretsForm
    list_display = ("name", "provider", "username", "url")
    list_filter = ("provider",)
    search_fields = ("name", "username", "url")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ModelAdmin[AuditEntry]):
    """Who did what, when, from where."""

    list_display = ("at", "user_name", "action", "service", "subject", "address")
    list_filter = ("action", "at", ("service", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("service",)
    search_fields = ("user_name", "action", "subject", "address")
    date_hierarchy = "at"
    list_per_page = 100
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Select what was done to the services that this user may see, and what concerns no service."""
        return super().get_queryset(request).filter(Q(service=None) | Q(service__in=permitted(request)))
