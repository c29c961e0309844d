"""Deploys in the admin: read-only, with their files and log in pages, and what can be done about them."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ftp_deploy.admin.base import ModelAdmin, ReadOnly, each, permitted
from ftp_deploy.admin.marks import marked
from ftp_deploy.deploys import queue, restore
from ftp_deploy.models import Change, Deploy

CHANGES_ON_A_PAGE = 100
LINES_ON_A_PAGE = 200


@admin.register(Deploy)
class DeployAdmin(ReadOnly, ModelAdmin[Deploy]):
    """The log."""

    list_display = ("id", "state_mark", "service", "created_at", "kind", "short_commit", "user_name", "files", "lasted")
    list_filter = ("state", "kind", "created_at", ("service", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("service",)
    search_fields = ("=id", "service__repository_name", "user_name", "user_email", "after", "commit", "error")
    date_hierarchy = "created_at"
    list_per_page = 50
    show_full_result_count = False
    actions = ("retry", "skip", "cancel", "confirm_deletes", "roll_back")
    change_form_template = "admin/ftp_deploy/deploy/change_form.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("service", "state_mark"),
                    ("kind", "branch"),
                    ("before", "after", "commit"),
                    ("user_name", "user_email", "requested_by"),
                    ("created_at", "started_at", "finished_at", "lasted"),
                    "files",
                    ("phase", "files_done", "files_total", "bytes_done", "bytes_total"),
                    ("attempts", "next_attempt_at"),
                    ("error", "advice"),
                    "healthy",
                    "run",
                )
            },
        ),
        (_("Delivery"), {"classes": ("collapse",), "fields": ("provider", "delivery_id", "forced", "payload")}),
    )
    readonly_fields = ("state_mark", "files", "lasted")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deploy]:
        """Select the deploys of the services that this user may see."""
        return super().get_queryset(request).filter(service__in=permitted(request))

    @admin.display(description=_("state"), ordering="state")
    def state_mark(self, deploy: Deploy) -> str:
        """Show the state as a word with a mark."""
        return marked(deploy.state, deploy.get_state_display())

    @admin.display(description=_("commit"))
    def short_commit(self, deploy: Deploy) -> str:
        """Show the first letters of the commit."""
        return (deploy.commit or deploy.after)[:12]

    @admin.display(description=_("files"))
    def files(self, deploy: Deploy) -> str:
        """Show how many files were added, modified and removed."""
        return f"+{deploy.files_added}\xa0~{deploy.files_modified}\xa0-{deploy.files_removed}"

    @admin.display(description=_("duration"))
    def lasted(self, deploy: Deploy) -> str:
        """Show how long the run took."""
        return f"{deploy.duration.total_seconds():.1f}\xa0s" if deploy.duration is not None else ""

    def has_deploy_permission(self, request: HttpRequest) -> bool:
        """Say whether this user may deploy."""
        return request.user.has_perm("ftp_deploy.deploy_service")

    def has_restore_permission(self, request: HttpRequest) -> bool:
        """Say whether this user may bring an earlier commit back."""
        return request.user.has_perm("ftp_deploy.restore_service")

    def has_skip_permission(self, request: HttpRequest) -> bool:
        """Say whether this user may skip."""
        return request.user.has_perm("ftp_deploy.skip_deploy")

    @admin.action(description=_("Try again"), permissions=["deploy"])
    def retry(self, request: HttpRequest, deploys: QuerySet[Deploy]) -> None:
        """Deploy again what failed or was cancelled."""
        each(request, deploys, "retry", lambda deploy: _queued(queue.retry(deploy, request.user)))

    @admin.action(description=_("Skip: the server is fine as it is"), permissions=["skip"])
    def skip(self, request: HttpRequest, deploys: QuerySet[Deploy]) -> None:
        """Accept the server's state for what failed."""

        def act(deploy: Deploy) -> str:
            restore.skip(deploy, request.user)
            return gettext("skipped.")

        each(request, deploys, "skip", act)

    @admin.action(description=_("Cancel"), permissions=["deploy"])
    def cancel(self, request: HttpRequest, deploys: QuerySet[Deploy]) -> None:
        """Stop what waits or has not switched yet."""

        def act(deploy: Deploy) -> str:
            queue.cancel(deploy, request.user)
            return gettext("cancelled.")

        each(request, deploys, "cancel", act)

    @admin.action(description=_("Confirm the deletes and go on"), permissions=["deploy"])
    def confirm_deletes(self, request: HttpRequest, deploys: QuerySet[Deploy]) -> None:
        """Let deploys pass that stopped at the delete limit."""
        each(request, deploys, "confirm deletes", lambda deploy: _queued(queue.confirm_deletes(deploy, request.user)))

    @admin.action(description=_("Roll back to this commit"), permissions=["restore"])
    def roll_back(self, request: HttpRequest, deploys: QuerySet[Deploy]) -> None:
        """Bring the commit of one deploy back."""
        if deploys.count() != 1:
            self.message_user(request, gettext("Choose one deploy to go back to."), level="error")
            return
        each(
            request,
            deploys,
            "roll back",
            lambda deploy: _queued(restore.roll_back(deploy.service, deploy.commit or deploy.after, request.user)),
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one deploy with one page of its files and one of its log."""
        deploy = self.get_object(request, object_id)
        if deploy is not None and self.has_view_permission(request, deploy):
            extra_context = {**(extra_context or {}), **_pages(request, deploy)}
        return super().change_view(request, object_id, form_url, extra_context)


def _pages(request: HttpRequest, deploy: Deploy) -> dict[str, Any]:
    changes = deploy.changes.all()
    chosen = {name: request.GET.get(f"changes_{name}", "") for name in ("state", "action", "path")}
    if chosen["path"]:
        changes = changes.filter(path__icontains=chosen["path"])
    changes = changes.filter(**{name: chosen[name] for name in ("state", "action") if chosen[name]})
    return {
        "changes": _page(changes, request.GET.get("changes_page"), CHANGES_ON_A_PAGE),
        "change_states": Change.State.choices,
        "change_actions": Change.Action.choices,
        "chosen": chosen,
        "log": _page(deploy.log_lines.all(), request.GET.get("log_page"), LINES_ON_A_PAGE),
    }


def _page(rows: QuerySet[Any], number: str | None, size: int) -> Page[Model]:
    return Paginator(rows, size).get_page(number)


def _queued(deploy: Deploy) -> str:
    return gettext("waits as deploy #%d.") % deploy.pk
