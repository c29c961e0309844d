"""Notification sets and the messages that were sent for them, in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ftp_deploy import notifications
from ftp_deploy.access import notifications_for
from ftp_deploy.admin.base import AuditedAdmin, ModelAdmin, ReadOnly, SecretsForm, TabularInline, each, permitted
from ftp_deploy.admin.marks import marked
from ftp_deploy.models import Address, Message, Notification


class AddressInline(TabularInline[Address, Notification]):
    """The addresses of a set."""

    model = Address
    extra = 1


@admin.register(Notification)
class NotificationAdmin(AuditedAdmin[Notification]):
    """Named sets of people and channels."""

    form = SecretsForm
    inlines = (AddressInline,)
    list_display = ("name", "on_success", "on_fail")
    search_fields = ("name",)
    actions = ("send_test",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "name",
                    ("deploy_user_success", "deploy_user_fail"),
                    ("commit_user_success", "commit_user_fail"),
                )
            },
        ),
        (
            _("Channels and webhook"),
            {"fields": ("channels", "webhook_url", "webhook_secret", ("channels_success", "channels_fail"))},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        """Select the sets that this user may see."""
        return super().get_queryset(request).filter(pk__in=notifications_for(request.user).values("pk"))

    @admin.display(description=_("told of success"))
    def on_success(self, notification: Notification) -> str:
        """Show who is told of a success."""
        return ", ".join(notifications.listed(notification, success=True))

    @admin.display(description=_("told of failure"))
    def on_fail(self, notification: Notification) -> str:
        """Show who is told of a failure."""
        return ", ".join(notifications.listed(notification, success=False))

    @admin.action(description=_("Send a test to the channels and the webhook"), permissions=["change"])
    def send_test(self, request: HttpRequest, sets: QuerySet[Notification]) -> None:
        """Send a test message now and say what came of it."""

        def act(notification: Notification) -> str:
            told = notifications.send_test(notification)
            return gettext("sent to %s.") % ", ".join(told)

        each(request, sets, "send test", act)


@admin.register(Message)
class MessageAdmin(ReadOnly, ModelAdmin[Message]):
    """What was told to whom."""

    list_display = ("created_at", "service", "event", "channel", "recipient", "state_mark", "attempts", "error")
    list_filter = ("state", "channel", "event", "created_at")
    list_select_related = ("service",)
    search_fields = ("recipient", "service__repository_name", "error")
    list_per_page = 50
    show_full_result_count = False
    fields = (
        ("service", "deploy"),
        ("event", "channel", "recipient"),
        ("state_mark", "attempts"),
        ("created_at", "next_attempt_at", "sent_at"),
        "error",
    )
    readonly_fields = ("state_mark",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Select the messages about the services that this user may see."""
        return super().get_queryset(request).filter(service__in=permitted(request))

    @admin.display(description=_("state"), ordering="state")
    def state_mark(self, message: Message) -> str:
        """Show the state as a word with a mark."""
        return marked(message.state, message.get_state_display())
