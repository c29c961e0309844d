"""Model fields: text that is encrypted in the database, and web addresses.

The stored text is ``v1:`` and a Fernet token of ``<model>.<field>`` and the value, so that a token copied from one
column into another is refused. Decryption happens when the attribute is read, never when the row is loaded: a list
of services works without the key, and a wrong key is an error where the secret is needed.
"""

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.utils.text import capfirst

from ftp_deploy.conf import conf
from ftp_deploy.exceptions import EncryptionKeyError
from ftp_deploy.forms import KEPT, SecretField

VERSION = "v1:"

if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
    _URLField = models.URLField[str, str]
else:
    _TextField = models.TextField
    _URLField = models.URLField


def derived_key(secret: str) -> str:
    """Make a Fernet key from a Django ``SECRET_KEY``; used where no key list is configured."""
    digest = hashlib.sha256(b"ftp_deploy.fields:" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def encryption_keys() -> list[str]:
    """Return the Fernet keys in force: the first encrypts, all decrypt."""
    if conf.ENCRYPTION_KEYS:
        return list(conf.ENCRYPTION_KEYS)
    secrets = [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    return [derived_key(secret) for secret in secrets]


def cipher() -> MultiFernet:
    """Return the cipher for the keys in force.

    Raises ``ImproperlyConfigured`` where a key is not a Fernet key.
    """
    return _cipher(tuple(encryption_keys()))


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FTP_DEPLOY_ENCRYPTION_KEYS holds something that is not a Fernet key. "
            "Make one with cryptography.fernet.Fernet.generate_key()."
        ) from error


class Sealed:
    """An encrypted value as it stands in the database."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return "<Sealed>"

    def open(self, context: str) -> str:
        """Return the clear value. Raises ``EncryptionKeyError`` where no key fits or the context differs."""
        try:
            clear = cipher().decrypt(self.token.removeprefix(VERSION).encode()).decode()
        except InvalidToken as error:
            raise EncryptionKeyError(f"The stored {context} cannot be decrypted with the configured keys.") from error
        found, separator, value = clear.partition("\0")
        if not separator or found != context:
            raise EncryptionKeyError(f"The stored {context} was encrypted for another field.")
        return value

    @classmethod
    def close(cls, context: str, value: str) -> "Sealed":
        """Encrypt ``value`` for ``context``."""
        return cls(VERSION + cipher().encrypt(f"{context}\0{value}".encode()).decode())


def context_of(field: "models.Field[Any, Any]") -> str:
    """Return what a token of this field is bound to: model and field."""
    return f"{field.model._meta.model_name}.{field.name}"


class OpenOnRead(DeferredAttribute):
    """Decrypts a sealed value when it is first read."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is not None and isinstance(value, Sealed):
            value = value.open(context_of(self.field))
            instance.__dict__[self.field.attname] = value
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # Having __set__ makes this a data descriptor: Python then asks __get__ before the instance's own dict.
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(_TextField):
    """Text that is encrypted in the database and clear in Python. Empty text is stored as empty text."""

    descriptor_class = OpenOnRead

    def __init__(self, *args: Any, lines: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lines = lines
        """Whether a form asks for several lines; no matter of the database, so no part of a migration."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> "str | Sealed | None":
        """Wrap what the database holds; it is decrypted when read."""
        return Sealed(value) if value else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Hand over an untouched sealed value as it is: saving a row needs no key."""
        return model_instance.__dict__.get(self.attname, "")

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt a clear value."""
        if isinstance(value, Sealed):
            return value.token
        value = super().get_prep_value(value)
        return Sealed.close(context_of(self), value).token if value else value

    def value_from_object(self, obj: models.Model) -> Any:
        """Return what a form starts from: never decrypted, so a form opens without the key."""
        return obj.__dict__.get(self.attname, "")

    def formfield(self, **kwargs: Any) -> Any:
        """Return a write-only form field; one of several lines where ``lines`` is set."""
        kwargs.pop("widget", None)
        defaults = {"label": capfirst(self.verbose_name), "help_text": self.help_text}
        return SecretField(lines=self.lines, **{**defaults, **kwargs})

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        """Take what the form holds; ``KEPT`` leaves the stored value as it is."""
        if data is not KEPT:
            super().save_form_data(instance, data)

    def value_to_string(self, obj: models.Model) -> str:
        """Serialise the sealed value (``dumpdata``): a dump never holds a secret in clear."""
        value = obj.__dict__.get(self.attname, "")
        if isinstance(value, Sealed):
            return value.token
        return str(self.get_prep_value(value) or "")

    def to_python(self, value: Any) -> Any:
        """Take a dumped token back as a sealed value."""
        if isinstance(value, str) and value.startswith(VERSION + "gAAAA"):
            return Sealed(value)
        return super().to_python(value)


class AddressField(_URLField):
    """A URL whose form takes ``example.com`` for ``https://example.com``."""

    def formfield(self, **kwargs: Any) -> Any:
        """Return the form field."""
        return super().formfield(**{"assume_scheme": "https", **kwargs})
