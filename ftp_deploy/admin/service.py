"""Services in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ftp_deploy import hooks, tasks
from ftp_deploy.access import notifications_for
from ftp_deploy.admin.base import AuditedAdmin, SecretsForm, each, permitted
from ftp_deploy.admin.marks import marked
from ftp_deploy.checks import sweep_problems
from ftp_deploy.deploys import queue, restore
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Deploy, Service

FIELDSETS = (
    (
        _("FTP settings"),
        {
            "fields": (
                ("protocol", "host", "port"),
                ("username", "password"),
                "path",
                ("private_key", "passphrase"),
                ("verify_certificate", "fingerprint"),
                "certificate_authority",
                ("max_connections", "atomic"),
                ("file_mode", "set_modification_time"),
                "drift_policy",
            )
        },
    ),
    (
        _("Repository"),
        {
            "fields": (
                ("provider", "account"),
                ("repository_name", "repository_slug"),
                ("branch", "subdirectory"),
                "repository_fingerprint",
                "excludes",
                ("first_deploy", "delete_limit"),
                ("combine_pushes", "queue", "enabled"),
            )
        },
    ),
    (
        _("Notification"),
        {"fields": ("notification", "site_url", ("health_check", "roll_back_unhealthy"), "after_urls")},
    ),
    (_("Security"), {"fields": ("secret_key", "hook_address", "hook_secret", "signature_required", "groups")}),
    (_("Status"), {"fields": ("status_mark", "issues", "checked_at", "live_commit", "log")}),
)


@admin.register(Service)
class ServiceAdmin(AuditedAdmin[Service]):
    """Add, change and check services; deploy them and restore what failed."""

    form = SecretsForm
    fieldsets = FIELDSETS  # type: ignore[assignment]
    filter_horizontal = ("groups",)
    readonly_fields = ("hook_address", "status_mark", "issues", "checked_at", "live_commit", "log")
    list_display = (
        "repository_name",
        "branch",
        "status_mark",
        "last_deploy",
        "enabled",
        "provider",
        "protocol",
        "host",
        "path",
        "checked_at",
    )
    list_filter = (
        "status",
        "enabled",
        "provider",
        "protocol",
        ("notification", admin.RelatedOnlyFieldListFilter),
    )
    search_fields = ("repository_name", "repository_slug", "branch", "host", "username", "path")
    list_per_page = 50
    autocomplete_fields = ("notification", "account")
    actions = ("deploy_now", "deploy_full", "validate", "restore", "add_hook", "renew_keys")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Service]:
        """Add the state and date of the last deploy to each row."""
        last = Deploy.objects.filter(service=OuterRef("pk")).order_by("-pk")
        return (
            super()
            .get_queryset(request)
            .filter(pk__in=permitted(request))
            .annotate(last_state=Subquery(last.values("state")[:1]), last_at=Subquery(last.values("created_at")[:1]))
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Take only a notification set that the person may see: choosing another one would show it to them."""
        if db_field.name == "notification":
            options["queryset"] = notifications_for(request.user)
        return super().formfield_for_foreignkey(db_field, request, **options)

    @admin.display(description=_("status"), ordering="status")
    def status_mark(self, service: Service) -> str:
        """Show what the last validation found."""
        return marked(service.status, service.get_status_display())

    @admin.display(description=_("issues"))
    def issues(self, service: Service) -> str:
        """Show what the last validation complained of."""
        return service.status_message or gettext("none")

    @admin.display(description=_("hook address"))
    def hook_address(self, service: Service) -> str:
        """Show the address that the forge calls."""
        if service._state.adding:
            return gettext("Known once the service is saved.")
        return hooks.hook_url(service) or gettext("Set FTP_DEPLOY_BASE_URL to see it.")

    @admin.display(description=_("last deploy"), ordering="last_at")
    def last_deploy(self, service: Service) -> str:
        """Show how the last deploy stands."""
        state: str | None = getattr(service, "last_state", None)
        return marked(state, str(Deploy.State(state).label)) if state else gettext("never")

    @admin.display(description=_("live commit"))
    def live_commit(self, service: Service) -> str:
        """Show which commit is live and how many files we keep on the server."""
        stored = getattr(service, "stored_manifest", None)
        return str(stored) if stored else gettext("Nothing was deployed yet.")

    @admin.display(description=_("deploys"))
    def log(self, service: Service) -> str:
        """Link to the log of the service."""
        if service._state.adding:
            return ""
        address = reverse("admin:ftp_deploy_deploy_changelist")
        return format_html('<a href="{}?service__id__exact={}">{}</a>', address, service.pk, gettext("all deploys"))

    def has_deploy_permission(self, request: HttpRequest) -> bool:
        """Say whether this user may deploy."""
        return request.user.has_perm("ftp_deploy.deploy_service")

    def has_restore_permission(self, request: HttpRequest) -> bool:
        """Say whether this user may restore."""
        return request.user.has_perm("ftp_deploy.restore_service")

    @admin.action(description=_("Deploy now"), permissions=["deploy"])
    def deploy_now(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        """Deploy the branch as it stands."""
        each(request, services, "deploy", lambda service: _queued(queue.deploy_now(service, request.user)))

    @admin.action(description=_("Upload everything again"), permissions=["deploy"])
    def deploy_full(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        """Deploy the branch with every file."""
        each(
            request,
            services,
            "deploy",
            lambda service: _queued(queue.deploy_now(service, request.user, full=True)),
            full=True,
        )

    @admin.action(description=_("Check the service"), permissions=["change"])
    def validate(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        """Send a validation."""
        each(request, services, "check", _check)

    @admin.action(description=_("Restore failed deploys"), permissions=["restore"])
    def restore(self, request: HttpRequest, services: QuerySet[Service]) -> HttpResponse | None:
        """Show what a restore would do; do it once that page is confirmed."""
        if request.POST.get("confirmed"):
            each(request, services, "restore", lambda service: _queued(restore.restore(service, request.user)))
            return None
        previews = []
        for service in services[:20]:
            try:
                previews.append((service, restore.preview_restore(service)))
            except FTPDeployError as error:
                messages.error(request, f"{service}: {error.message} {error.advice}".rstrip())
        if not previews:
            return None
        return TemplateResponse(
            request,
            "admin/ftp_deploy/service/confirm_restore.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Restore failed deploys"),
                "opts": self.opts,
                "previews": previews,
                "action": "restore",
            },
        )

    @admin.action(description=_("Add or mend the hook on the forge"), permissions=["change"])
    def add_hook(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        """Add the hook to the repository, or set right the one that is there."""

        def act(service: Service) -> str:
            hooks.install_hook(service, request)
            return gettext("the hook is in place.")

        each(request, services, "add hook", act)

    @admin.action(description=_("Renew the security key and the hook secret"), permissions=["change"])
    def renew_keys(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        """Give new keys to services, and to their hooks on the forge."""

        def act(service: Service) -> str:
            if hooks.renew_keys(service, request):
                return gettext("new keys, and the hook on the forge knows them.")
            return gettext("new keys; add the hook to the forge again.")

        each(request, services, "renew keys", act)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the services, and a warning where the sweep stands still."""
        for problem in sweep_problems() if request.method == "GET" else []:
            messages.warning(request, f"{problem.msg} {problem.hint}")
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        """Save, and check the service in the background: a save never waits for a slow server."""
        super().save_model(request, obj, form, change)
        transaction.on_commit(lambda: tasks.send("ftp_deploy.validate", obj.pk), robust=True)
        messages.info(request, gettext("The service is being checked; its status appears here in a moment."))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count what goes with a service instead of listing it: a log may hold millions of rows."""
        services = list(objs)
        deploys = Deploy.objects.filter(service__in=services).count()
        forbidden = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        counts = {self.opts.verbose_name_plural: len(services), Deploy._meta.verbose_name_plural: deploys}
        return [str(service) for service in services], counts, forbidden, []


def _queued(deploy: Deploy) -> str:
    return gettext("waits as deploy #%d.") % deploy.pk


def _check(service: Service) -> str:
    tasks.send("ftp_deploy.validate", service.pk)
    return gettext("is being checked.")
