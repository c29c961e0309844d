"""Deploys: one row of the log each, with their planned changes and log lines."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ftp_deploy.fields import AddressField
from ftp_deploy.models.choices import provider_choices


class DeployKind(models.TextChoices):
    """Why a deploy exists."""

    PUSH = "push", _("push")
    """A forge told us of a push."""
    RESTORE = "restore", _("restore")
    """A person restores failed deploys."""
    MANUAL = "manual", _("manual")
    """A person deploys the branch as it stands."""
    FULL = "full", _("full")
    """A person uploads everything again."""
    ROLLBACK = "rollback", _("roll back")
    """An earlier commit goes live again."""


class DeployState(models.TextChoices):
    """Where a deploy stands. Transitions are the methods of ``DeployQuerySet`` and ``Deploy``."""

    QUEUED = "queued", _("waiting")
    """Stored and waiting for a worker."""
    RUNNING = "running", _("running")
    """A worker holds the service's lease and works on it."""
    SUCCEEDED = "succeeded", _("success")
    """Its commit is live, or was live until a later one."""
    FAILED = "failed", _("failed")
    """It did not go live; a later push or a restore carries what it would have changed."""
    SKIPPED = "skipped", _("skipped")
    """It failed, and a person decided that the server's state is fine."""
    RESTORED = "restored", _("restored")
    """It failed, and a restore has put it live since."""
    CANCELLED = "cancelled", _("cancelled")
    """A person stopped it before its switch."""
    SUPERSEDED = "superseded", _("superseded")
    """It arrived late: what is live is newer."""


class Phase(models.TextChoices):
    """The steps of a running deploy, in order."""

    RECEIVED = "received", _("received")
    """The push is stored."""
    FETCHING = "fetching", _("fetching")
    """The tree is fetched from the forge."""
    PLANNING = "planning", _("planning")
    """The tree is compared with the manifest."""
    UPLOADING = "uploading", _("uploading")
    """Files are sent under temporary names."""
    SWITCHING = "switching", _("switching")
    """Files are renamed over, then deletes."""
    CHECKING = "checking", _("calling")
    """Addresses are called, and the site is looked at; left out where the service names none."""
    FINISHING = "finishing", _("finishing")
    """The manifest is stored and people are told."""


UNFINISHED = (DeployState.QUEUED, DeployState.RUNNING)
FINAL = tuple(state for state in DeployState if state not in UNFINISHED)


class DeployQuerySet(models.QuerySet["Deploy"]):
    """Named selections of deploys."""

    def unfinished(self) -> "DeployQuerySet":
        """Deploys that wait or run."""
        return self.filter(state__in=UNFINISHED)

    def failed(self) -> "DeployQuerySet":
        """Deploys that failed and were neither skipped nor restored."""
        return self.filter(state=DeployState.FAILED)

    def in_order(self) -> "DeployQuerySet":
        """Oldest first: the order in which they go live."""
        return self.order_by("position", "pk")


class Deploy(models.Model):
    """One row of the log: a push or a person's request, and what became of it."""

    Kind = DeployKind
    State = DeployState
    Phase = Phase

    service = models.ForeignKey(
        "ftp_deploy.Service", models.CASCADE, db_index=False, related_name="deploys", verbose_name=_("service")
    )
    """No index of its own, here and in ``LogLine``: others begin with the same column, and serve as well."""
    kind = models.CharField(_("kind"), max_length=20, choices=DeployKind, default=DeployKind.PUSH)
    state = models.CharField(_("state"), max_length=20, choices=DeployState, default=DeployState.QUEUED)
    phase = models.CharField(_("phase"), max_length=20, choices=Phase, default=Phase.RECEIVED)
    position = models.FloatField(default=0, editable=False)
    """Order within the service; a late delivery is put between its neighbours."""
    turn = models.PositiveBigIntegerField(null=True, editable=False)
    """Order of arrival within the service, each number once: two pushes that saw the same line cannot both be stored.
    Empty for rows that were not stored through ``deploys.queue``."""

    provider = models.CharField(_("source"), max_length=50, choices=provider_choices, blank=True)
    branch = models.CharField(_("branch"), max_length=255, blank=True)
    before = models.CharField(_("before"), max_length=64, blank=True)
    after = models.CharField(_("after"), max_length=64, blank=True, help_text=_("Empty: the head of the branch."))
    commit = models.CharField(
        _("live commit"), max_length=64, blank=True, help_text=_("The commit that really went live.")
    )
    delivery_id = models.CharField(_("delivery id"), max_length=255, blank=True)
    forced = models.BooleanField(_("forced"), default=False)
    payload = models.JSONField(_("payload"), default=dict, blank=True)
    commits = models.JSONField(
        _("commits"),
        default=list,
        blank=True,
        help_text=_("id, message, author_name, author_email, timestamp, url of each."),
    )
    commits_complete = models.BooleanField(default=True)
    user_name = models.CharField(_("user"), max_length=255, blank=True)
    user_email = models.EmailField(_("e-mail"), blank=True)
    compare_url = AddressField(max_length=1000, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requested by"),
    )
    confirmed_deletes = models.BooleanField(_("deletes confirmed"), default=False)
    cancel_requested = models.BooleanField(default=False)
    run = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="included",
        verbose_name=_("run"),
        help_text=_("The deploy that put this one live: a later push of the same run, or a restore."),
    )

    order_unknown = models.BooleanField(default=False)
    """The push does not follow on the newest known one: the head of the branch decides what goes live."""

    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    crashes = models.PositiveSmallIntegerField(_("crashes"), default=0)
    """How often the worker died while this deploy ran."""
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)
    epoch = models.PositiveBigIntegerField(default=0, editable=False)

    files_total = models.PositiveIntegerField(_("files"), default=0)
    files_done = models.PositiveIntegerField(_("files done"), default=0)
    bytes_total = models.PositiveBigIntegerField(_("bytes"), default=0)
    bytes_done = models.PositiveBigIntegerField(_("bytes done"), default=0)
    current_file = models.CharField(_("current file"), max_length=1024, blank=True)
    files_added = models.PositiveIntegerField(default=0)
    files_modified = models.PositiveIntegerField(default=0)
    files_removed = models.PositiveIntegerField(default=0)

    error = models.TextField(_("error"), blank=True)
    error_kind = models.CharField(max_length=50, blank=True, help_text=_("The class name of the error."))
    advice = models.TextField(_("what to do"), blank=True)
    healthy = models.BooleanField(
        _("site is well"), null=True, blank=True, help_text=_("What the site answered after the switch.")
    )
    warnings = models.JSONField(_("warnings"), default=list, blank=True)
    steps = models.JSONField(default=dict, blank=True, help_text=_("Phase: ISO time at which it began."))

    created_at = models.DateTimeField(_("received at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    notified_at = models.DateTimeField(_("told at"), null=True, blank=True)
    """When the messages about the outcome were written down; empty: nobody was told yet."""

    objects = DeployQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("deploy")
        verbose_name_plural = _("deploys")
        indexes = [
            models.Index(fields=["service", "state", "position"], name="ftp_deploy_service_state"),
            models.Index(fields=["service", "position", "id"], name="ftp_deploy_line"),
            models.Index(
                fields=["service"],
                condition=models.Q(state="queued", order_unknown=True),
                name="ftp_deploy_order_unknown",
            ),
            models.Index(
                fields=["next_attempt_at", "service"],
                condition=models.Q(state__in=["queued", "running"]),
                name="ftp_deploy_unfinished",
            ),
            models.Index(fields=["created_at"], name="ftp_deploy_created"),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(state__in=["succeeded", "failed"], notified_at=None),
                name="ftp_deploy_untold",
            ),
            models.Index(fields=["service", "-id"], name="ftp_deploy_service_latest"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "delivery_id", "branch"],
                condition=~models.Q(delivery_id=""),
                name="ftp_deploy_delivery_once",
            ),
            models.UniqueConstraint(fields=["service", "turn"], name="ftp_deploy_turn_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.after[:12] or self.branch} #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to this deploy by itself."""
        return self.state in FINAL

    @property
    def duration(self) -> timedelta | None:
        """How long the run took; None before it ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def commits_info(self) -> list[list[str]]:
        """``[message, author, id]`` of each commit: the form that the mail templates are given."""
        return [[commit["message"], commit["author_name"], commit["id"]] for commit in self.commits]


class ChangeAction(models.TextChoices):
    """What a deploy does to one file."""

    ADD = "add", _("new")
    """The server did not have it."""
    MODIFY = "modify", _("modified")
    """The server has another content or mode."""
    DELETE = "delete", _("removed")
    """The repository no longer has it."""


class ChangeState(models.TextChoices):
    """How far one file came."""

    PLANNED = "planned", _("planned")
    """Nothing happened yet."""
    UPLOADED = "uploaded", _("uploaded")
    """Complete on the server under its temporary name."""
    APPLIED = "applied", _("applied")
    """Live, or deleted."""
    FAILED = "failed", _("failed")
    """Refused for a reason that a retry does not mend."""


class Change(models.Model):
    """One planned file of one deploy: the diff, the progress, the journal and the per-file log."""

    Action = ChangeAction
    State = ChangeState

    deploy = models.ForeignKey(Deploy, models.CASCADE, related_name="changes", verbose_name=_("deploy"))
    path = models.CharField(_("path"), max_length=4096)
    action = models.CharField(_("action"), max_length=10, choices=ChangeAction)
    blob_id = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    mode = models.PositiveIntegerField(default=0)
    state = models.CharField(_("state"), max_length=10, choices=ChangeState, default=ChangeState.PLANNED)
    temporary_path = models.CharField(max_length=4096, blank=True)
    """Where the content lies on the server before the switch; empty once it is gone from there."""

    class Meta:
        ordering = ["pk"]
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [models.Index(fields=["deploy", "state"], name="ftp_deploy_change_state")]

    def __str__(self) -> str:
        return f"{self.action} {self.path}"


class LogLine(models.Model):
    """One line of a deploy's log."""

    deploy = models.ForeignKey(
        Deploy, models.CASCADE, db_index=False, related_name="log_lines", verbose_name=_("deploy")
    )
    at = models.DateTimeField(_("time"))
    level = models.CharField(_("level"), max_length=10, default="info")
    text = models.TextField(_("text"))

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["deploy", "id"], name="ftp_deploy_log_offset")]

    def __str__(self) -> str:
        return self.text
