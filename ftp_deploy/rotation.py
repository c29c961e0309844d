"""Encrypting every stored secret again with the first key of ``FTP_DEPLOY_ENCRYPTION_KEYS``."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import models

from ftp_deploy.exceptions import EncryptionKeyError
from ftp_deploy.fields import EncryptedTextField, Sealed, context_of


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many values were encrypted again, and which could not be read: ``model #pk field``."""

    done: int
    unreadable: tuple[str, ...]


def encrypted_columns() -> Iterator[tuple[type[models.Model], EncryptedTextField]]:
    """Yield every encrypted column of every installed model."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field


def rotate() -> Rotation:
    """Encrypt every stored secret again, one row at a time; a row changed meanwhile is left as it was changed.

    May be stopped and run again at any time: old keys decrypt as long as they stand in the setting.
    """
    done, unreadable = 0, []
    for model, field in encrypted_columns():
        rows = model._base_manager.exclude(**{field.attname: ""}).values_list("pk", field.attname)
        for key, stored in list(rows):
            if not isinstance(stored, Sealed):
                continue
            try:
                fresh = Sealed.close(context_of(field), stored.open(context_of(field)))
            except EncryptionKeyError:
                unreadable.append(f"{model._meta.model_name} #{key} {field.name}")
                continue
            done += model._base_manager.filter(**{"pk": key, field.attname: stored}).update(**{field.attname: fresh})
    return Rotation(done, tuple(unreadable))
