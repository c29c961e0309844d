"""Encrypted fields: sealed at rest, opened when read, never ciphertext as a value."""

import pytest
from cryptography.fernet import Fernet
from django import forms
from django.core import serializers
from django.db import connection

from ftp_deploy.exceptions import EncryptionKeyError
from ftp_deploy.fields import Sealed
from ftp_deploy.forms import SecretsFormMixin
from ftp_deploy.models import Service

pytestmark = pytest.mark.django_db


def make_service() -> Service:
    return Service.objects.create(host="ftp.example.com", username="u", password="canary", repository_slug="o/r")


def stored(service: Service) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM ftp_deploy_service WHERE id = %s", [service.pk])
        return str(cursor.fetchone()[0])


def test_the_database_never_holds_the_clear_value() -> None:
    service = make_service()
    assert "canary" not in stored(service)
    assert Service.objects.get().password == "canary"


def test_a_row_loads_and_saves_without_the_key(settings) -> None:
    service = make_service()
    before = stored(service)
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    loaded = Service.objects.get()
    loaded.branch = "other"
    loaded.save()
    assert stored(service) == before
    with pytest.raises(EncryptionKeyError, match="password"):
        _ = loaded.password


def test_an_old_key_still_decrypts_and_the_first_encrypts(settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [old]
    service = make_service()
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [new, old]
    loaded = Service.objects.get()
    loaded.password = loaded.password
    loaded.save()
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [new]
    assert Service.objects.get().password == "canary"
    assert service.pk == loaded.pk


def test_a_token_of_another_field_is_refused() -> None:
    service = make_service()
    Service.objects.update(password=Sealed.close("service.passphrase", "canary"))
    with pytest.raises(EncryptionKeyError, match="another field"):
        _ = Service.objects.get(pk=service.pk).password


def test_no_secret_in_repr() -> None:
    service = make_service()
    assert "canary" not in repr(service) + repr(Service.objects.get().__dict__) + repr(service.target())


def test_each_row_has_its_own_keys() -> None:
    first, second = make_service(), make_service()
    assert len(first.secret_key) == 30
    assert first.secret_key.isalnum()
    assert first.secret_key != second.secret_key
    assert first.hook_secret != second.hook_secret


class OneSecret(SecretsFormMixin, forms.ModelForm):
    class Meta:
        model = Service
        fields = ("password", "host")


def test_a_form_that_was_not_saved_tells_what_is_stored_and_what_was_lost() -> None:
    stored, lost = "Stored. Leave empty to keep it.", "Not saved yet: enter it again."
    service = make_service()
    for instance, entered, words in (
        (None, "", set()),
        (None, "canary-new", {lost}),
        (service, "", {stored}),
        (service, "canary-new", {lost}),
    ):
        form = OneSecret({"password": entered, "host": ""}, instance=instance)
        assert not form.is_valid()
        page = form.as_p()
        assert {part for part in (stored, lost) if part in page} == words
        assert ("password-clear" in page) == (instance is not None)
        assert "canary" not in page


def test_a_dump_holds_no_secret_and_brings_it_back() -> None:
    service = make_service()
    text = serializers.serialize("json", [service])
    assert "canary" not in text
    loaded = serializers.serialize("json", [Service.objects.get(pk=service.pk)])
    assert "canary" not in loaded
    Service.objects.all().delete()
    for dump in (text, loaded):
        (found,) = serializers.deserialize("json", dump)
        found.save()
        assert Service.objects.get(pk=service.pk).password == "canary"
