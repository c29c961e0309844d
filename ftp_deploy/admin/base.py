"""What the admin classes share: forms that never show a secret, read-only rows, actions that answer in sentences."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.forms import SecretsFormMixin

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


def each(request: HttpRequest, rows: QuerySet[Row], act: Callable[[Row], str]) -> None:
    """Do something with each selected row and say for each what came of it.

    ``act`` returns the sentence of success; an ``FTPDeployError`` gives that of failure.
    """
    selected = list(rows[: MOST_ROWS + 1])
    for row in selected[:MOST_ROWS]:
        try:
            messages.success(request, f"{row}: {act(row)}")
        except FTPDeployError as error:
            messages.error(request, f"{row}: {error.message} {error.advice}".rstrip())
    if len(selected) > MOST_ROWS:
        messages.warning(request, _("Only the first %d rows were worked on.") % MOST_ROWS)
