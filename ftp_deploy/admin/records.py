"""Accounts on forges, and the record of what people did, in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ftp_deploy import deeds
from ftp_deploy.admin.base import AuditedAdmin, ModelAdmin, ReadOnly, SecretsForm, permitted
from ftp_deploy.models import Account, AuditEntry


@admin.register(Account)
class AccountAdmin(AuditedAdmin[Account]):
    """Logins on forges; the token is write-only."""

    form = SecretsForm
    list_display = ("name", "provider", "username", "url")
    list_filter = ("provider",)
    search_fields = ("name", "username", "url")


class ActionFilter(admin.SimpleListFilter):
    """Chooses by what was done; offers what occurs, in the viewer's language."""

    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the actions that occur."""
        found = AuditEntry.objects.order_by().values_list("action", flat=True).distinct()
        return sorted(((action, deeds.action_label(action)) for action in found), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return the entries of the chosen action."""
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ModelAdmin[AuditEntry]):
    """Who did what, when, from where."""

    list_display = ("at", "user_name", "what", "service", "subject", "details", "address")
    fields = ("at", "user_name", "what", "service", "subject", "details", "address")
    list_filter = (ActionFilter, "at", ("service", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("service",)
    search_fields = ("user_name", "action", "subject", "address")
    date_hierarchy = "at"
    list_per_page = 100
    show_full_result_count = False

    @admin.display(description=_("action"), ordering="action")
    def what(self, entry: AuditEntry) -> str:
        """Show what was done."""
        return deeds.action_label(entry.action)

    @admin.display(description=_("detail"))
    def details(self, entry: AuditEntry) -> str:
        """Show what is kept beside it."""
        return "; ".join(f"{name}: {value}" if value else name for name, value in deeds.details(entry.detail))

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Select what was done to the services that this user may see, and what concerns no service."""
        return super().get_queryset(request).filter(Q(service=None) | Q(service__in=permitted(request)))
