"""What the admin classes share: forms that never show a secret, read-only rows, actions that answer in sentences."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ftp_deploy import audit
from ftp_deploy.access import services_for
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.forms import SecretsFormMixin
from ftp_deploy.models import Service

MOST_ROWS = 200
"""Rows that one action works on: each is a query and a message to the broker, while a person waits."""

Row = TypeVar("Row", bound=Model)

if TYPE_CHECKING:
    Form = forms.ModelForm[Any]
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
else:
    # Django's own classes are generic for the type checker only.
    Form = forms.ModelForm

    class ModelAdmin(admin.ModelAdmin):
        """An admin class that names its model in brackets."""

        def __class_getitem__(cls, model):
            return cls

    class TabularInline(admin.TabularInline):
        """An inline that names its models in brackets."""

        def __class_getitem__(cls, models):
            return cls


class AuditedAdmin(ModelAdmin[Row]):
    """Rows whose making, changing and deleting is written down; of services a person sees the permitted ones."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Remember the names of the changed fields: Django's own message holds what the form calls them."""
        related = [formset.prefix for formset in formsets or () if formset.has_changed()]
        request.ftp_deploy_changed = [*form.changed_data, *related]  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down that a row was added."""
        audit.record(request, f"add {self.opts.verbose_name_raw}", service_of(obj), str(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down that a row was changed, and which of its fields."""
        fields = getattr(request, "ftp_deploy_changed", [])
        audit.record(request, f"edit {self.opts.verbose_name_raw}", service_of(obj), str(obj), fields=fields)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write down that rows were deleted."""
        for row in queryset:
            audit.record(request, f"delete {self.opts.verbose_name_raw}", None, str(row))
        return super().log_deletions(request, queryset)


def service_of(row: Any) -> Service | None:
    """Return the service that a row is or belongs to."""
    if isinstance(row, Service):
        return row if row.pk else None
    found = getattr(row, "service", None)
    return found if isinstance(found, Service) else None


def permitted(request: HttpRequest) -> Any:
    """Return the keys of the services that the person may see, as a sub-query."""
    return services_for(request.user).order_by().values("pk")


class SecretsForm(SecretsFormMixin, Form):
    """The form of every model with secrets."""


class ReadOnly:
    """Rows that the app writes and people read."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows go with their service or by pruning, never singly."""
        return False


def each(request: HttpRequest, rows: QuerySet[Row], action: str, act: Callable[[Row], str], **detail: Any) -> None:
    """Do something with each selected row, say for each what came of it, and write down what was done.

    ``act`` returns the sentence of success; an ``FTPDeployError`` gives that of failure. ``action`` is the word of the
    audit log, which keeps ``detail`` beside it.
    """
    selected = list(rows[: MOST_ROWS + 1])
    for row in selected[:MOST_ROWS]:
        try:
            words = act(row)
        except FTPDeployError as error:
            messages.error(request, f"{row}: {error.message} {error.advice}".rstrip())
        else:
            messages.success(request, f"{row}: {words}")
            audit.record(request, action, service_of(row), str(row), **detail)
    if len(selected) > MOST_ROWS:
        messages.warning(request, _("Only the first %d rows were worked on.") % MOST_ROWS)
