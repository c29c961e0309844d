"""Services: one repository-to-server configuration each."""

import secrets
import string

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ftp_deploy.conf import conf
from ftp_deploy.deploys.manifest import Manifest
from ftp_deploy.fields import AddressField, EncryptedTextField
from ftp_deploy.models.account import settings_login
from ftp_deploy.models.choices import protocol_choices, provider_choices
from ftp_deploy.providers import open_provider
from ftp_deploy.providers.base import Provider
from ftp_deploy.transports import open_transport
from ftp_deploy.transports.base import Target, Traits, Transport

SECRET_KEY_LENGTH = 30


def new_secret_key() -> str:
    """Return 30 random alphanumeric characters."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(SECRET_KEY_LENGTH))


class ServiceStatus(models.TextChoices):
    """What the last validation of a service found."""

    UNKNOWN = "unknown", _("not checked")
    """No validation has finished yet."""
    OK = "ok", _("ok")
    """Every check passed."""
    FAILING = "failing", _("failing")
    """At least one check failed; the status message lists them."""


class FirstDeploy(models.TextChoices):
    """What the first deploy of a service does."""

    UPLOAD = "upload", _("upload everything")
    """Nothing is assumed about the server."""
    ADOPT = "adopt", _("the server already has it")
    """The server already holds the site: only what differs is uploaded."""


class DriftPolicy(models.TextChoices):
    """What happens to a file on the server that somebody changed by hand."""

    OVERWRITE = "overwrite", _("overwrite it")
    """The repository is right."""
    STOP = "stop", _("stop the deploy")
    """The deploy fails and names the files."""
    KEEP_COPY = "keep_copy", _("keep a copy first")
    """The changed file is kept beside the new one."""


class Service(models.Model):
    """One repository-to-server configuration, and what is known about both ends."""

    sent_secrets = (("password", "private_key"), ("protocol", "host", "port", "username"))
    """Secrets that are sent, and the fields that say where to."""

    Status = ServiceStatus
    FirstDeploy = FirstDeploy
    DriftPolicy = DriftPolicy

    # FTP settings
    protocol = models.CharField(_("protocol"), max_length=50, choices=protocol_choices, default="ftp")
    host = models.CharField(_("host"), max_length=255)
    port = models.PositiveIntegerField(
        _("port"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text=_("Empty: the protocol's usual port."),
    )
    username = models.CharField(_("username"), max_length=255)
    password = EncryptedTextField(_("password"), blank=True, default="")
    private_key = EncryptedTextField(
        _("private key"), lines=True, blank=True, default="", help_text=_("For SFTP: an OpenSSH private key.")
    )
    passphrase = EncryptedTextField(_("passphrase"), blank=True, default="")
    path = models.CharField(
        _("path"), max_length=1024, default="/", help_text=_("The root directory of the site on the server.")
    )
    verify_certificate = models.BooleanField(_("verify the TLS certificate"), default=True)
    certificate_authority = models.TextField(
        _("certificate authority"),
        blank=True,
        help_text=_("PEM text, for a certificate that no public authority signed."),
    )
    fingerprint = models.CharField(
        _("fingerprint"),
        max_length=128,
        blank=True,
        help_text=_("SHA-256 fingerprint of the accepted TLS certificate or SSH host key."),
    )
    max_connections = models.PositiveSmallIntegerField(
        _("connections"), default=16, validators=[MinValueValidator(1), MaxValueValidator(64)]
    )
    atomic = models.BooleanField(
        _("upload beside, then switch"),
        default=True,
        help_text=_("Off: files are written in place. Only for servers too small for two copies."),
    )
    file_mode = models.CharField(
        _("file mode"),
        max_length=4,
        blank=True,
        help_text=_("Octal, such as 644; empty: the server decides."),
    )
    set_modification_time = models.BooleanField(_("set modification times"), default=False)
    drift_policy = models.CharField(
        _("files changed by hand"), max_length=20, choices=DriftPolicy, default=DriftPolicy.OVERWRITE
    )
    traits = models.JSONField(_("server traits"), default=dict, blank=True, editable=False)

    # Repository
    provider = models.CharField(_("source"), max_length=50, choices=provider_choices, default="github")
    account = models.ForeignKey(
        "ftp_deploy.Account",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="services",
        verbose_name=_("account"),
        help_text=_("Empty: the account from the project's settings."),
    )
    repository_name = models.CharField(_("repository name"), max_length=255)
    repository_slug = models.CharField(
        _("repository slug"),
        max_length=512,
        help_text=_("As in the repository's address: owner/name. For plain git: its URL."),
    )
    repository_fingerprint = models.CharField(
        _("fingerprint of the git server"),
        max_length=128,
        blank=True,
        help_text=_("For git over ssh: SHA-256 fingerprint of the accepted host key. The first check shows it."),
    )
    branch = models.CharField(_("branch"), max_length=255, default="main")
    subdirectory = models.CharField(
        _("sub-directory"),
        max_length=1024,
        blank=True,
        help_text=_("Deploy only this directory of the repository."),
    )
    excludes = models.TextField(_("excludes"), blank=True, help_text=_("Patterns as in a .gitignore file, one a line."))
    first_deploy = models.CharField(_("first deploy"), max_length=20, choices=FirstDeploy, default=FirstDeploy.UPLOAD)
    delete_limit = models.PositiveIntegerField(
        _("delete limit"),
        null=True,
        blank=True,
        help_text=_(
            "A deploy that deletes more files stops and asks. Empty: more than half of all files and more than 20."
        ),
    )
    combine_pushes = models.BooleanField(
        _("deploy waiting pushes together"),
        default=True,
        help_text=_("Pushes that wait at the same time become one run."),
    )
    queue = models.CharField(
        _("queue"),
        max_length=100,
        blank=True,
        help_text=_("The Celery queue of this service; empty: the default one."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)

    # Notification
    notification = models.ForeignKey(
        "ftp_deploy.Notification",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="services",
        verbose_name=_("notification"),
    )
    site_url = AddressField(_("site address"), blank=True)
    health_check = models.BooleanField(
        _("check the site after a deploy"),
        default=False,
        help_text=_("Asks for the site address and expects a 2xx answer."),
    )
    roll_back_unhealthy = models.BooleanField(_("roll back when that check fails"), default=False)
    after_urls = EncryptedTextField(
        _("addresses to call after a deploy"),
        lines=True,
        blank=True,
        default="",
        help_text=_("One URL a line, such as a cache purge."),
    )

    # Security
    secret_key = models.CharField(
        _("security key"),
        max_length=SECRET_KEY_LENGTH,
        unique=True,
        default=new_secret_key,
        help_text=_("Part of the hook's address."),
    )
    hook_secret = EncryptedTextField(
        _("hook secret"),
        blank=True,
        default=new_secret_key,
        help_text=_("The forge signs each hook with it."),
    )
    signature_required = models.BooleanField(_("hooks must be signed"), default=True)
    hook_id = models.CharField(_("hook id"), max_length=100, blank=True, editable=False)

    groups = models.ManyToManyField(
        "auth.Group",
        blank=True,
        related_name="+",
        verbose_name=_("groups"),
        help_text=_("Only their members see this service. Empty: everybody who may see services."),
    )

    # Status
    status = models.CharField(
        _("status"), max_length=20, choices=ServiceStatus, default=ServiceStatus.UNKNOWN, editable=False
    )
    status_message = models.TextField(_("status message"), blank=True, editable=False)
    checks = models.JSONField(_("checks"), default=list, blank=True, editable=False)
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True, editable=False)

    reconciled_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Lease: see ftp_deploy.deploys.lease
    lease_owner = models.CharField(max_length=64, blank=True, default="", editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_epoch = models.PositiveBigIntegerField(default=0, editable=False)

    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ["repository_name", "pk"]
        verbose_name = _("service")
        verbose_name_plural = _("services")
        permissions = [
            ("deploy_service", _("Can deploy a service")),
            ("restore_service", _("Can restore failed deploys")),
            ("skip_deploy", _("Can skip failed deploys")),
        ]

    def __str__(self) -> str:
        return f"{self.repository_name} ({self.branch})"

    def clean(self) -> None:
        """Refuse values that no later check could mend."""
        if self.account and self.account.provider != self.provider:
            raise ValidationError({"account": _("This account belongs to another source.")})
        if self.file_mode:
            try:
                int(self.file_mode, 8)
            except ValueError as error:
                raise ValidationError({"file_mode": _("Enter an octal mode, such as 644.")}) from error

    def target(self) -> Target:
        """Return what a transport needs to know, with the settings in force."""
        return Target(
            protocol=self.protocol,
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            private_key=self.private_key,
            passphrase=self.passphrase,
            path=self.path,
            verify_certificate=self.verify_certificate,
            certificate_authority=self.certificate_authority,
            fingerprint=self.fingerprint,
            max_connections=self.max_connections,
            connect_timeout=conf.CONNECT_TIMEOUT,
            reply_timeout=conf.REPLY_TIMEOUT,
            allow_private_addresses=conf.ALLOW_PRIVATE_ADDRESSES,
            file_mode=int(self.file_mode, 8) if self.file_mode else None,
            traits=Traits.from_json(self.traits),
            probe_name=str(self.pk or ""),
        )

    def transport(self) -> Transport:
        """Return a transport for this service, not yet connected."""
        return open_transport(self.target(), conf.TRANSPORTS)

    def forge(self) -> Provider:
        """Return the provider of this service, with the service's account or the one from the settings."""
        account = self.account.as_login() if self.account else settings_login(self.provider)
        return open_provider(self.provider, account, conf.PROVIDERS)

    @property
    def forge_url(self) -> str:
        """The forge's own address, empty for the public service."""
        return self.account.url if self.account else settings_login(self.provider).url

    @property
    def manifest(self) -> Manifest:
        """What the server holds, as far as we put it there."""
        stored = ServiceManifest.objects.filter(service=self).first()
        if stored is None or stored.destination not in ("", self.destination):
            return Manifest()
        return stored.manifest

    @property
    def destination(self) -> str:
        """The place on a server that the manifest speaks of: another one starts with an empty manifest."""
        return f"{self.protocol}://{self.username}@{self.host.lower()}:{self.port or ''}/{self.path.strip('/')}"


class ServiceManifest(models.Model):
    """The stored manifest of a service. No row: nothing was deployed yet."""

    service = models.OneToOneField(Service, models.CASCADE, related_name="stored_manifest", primary_key=True)
    data = models.BinaryField(default=bytes)
    commit = models.CharField(max_length=64, blank=True)
    """The commit that is live as a whole; empty while a switch is under way or was cut."""
    destination = models.TextField(blank=True)
    """``Service.destination`` at the time; empty: the service's own."""
    files = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.files} files at {self.commit[:12]}"

    @property
    def manifest(self) -> Manifest:
        """The stored value, read."""
        return Manifest.load(bytes(self.data))

    @manifest.setter
    def manifest(self, manifest: Manifest) -> None:
        self.data = manifest.dump()
        self.files = len(manifest)
