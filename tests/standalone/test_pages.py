"""Health, metrics and the first account, over Django's test client."""

from datetime import timedelta

import pytest
from celery import Celery
from django.contrib.auth import get_user_model
from django.test import modify_settings
from django.utils import timezone

from ftp_deploy.models import Deploy, Heartbeat, Service
from ftp_deploy.standalone.setup import setup_path

pytestmark = [pytest.mark.django_db, pytest.mark.urls("ftp_deploy.standalone.urls")]
ACCOUNT = {
    "username": "webmaster",
    "email": "webmaster@example.com",
    "password1": "a-long-word-7",
    "password2": "a-long-word-7",
}


@pytest.fixture(autouse=True)
def _standalone_app():
    with modify_settings(INSTALLED_APPS={"append": "ftp_deploy.standalone"}):
        yield


def test_healthz_needs_nothing(client, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert client.get("/healthz").json() == {"status": "ok"}


def test_readyz_waits_for_the_first_sweep(client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "is a worker running" in answer.json()["checks"]["sweep"]
    assert answer.json()["checks"]["database"] == "ok"


def test_readyz_is_ok_with_a_recent_sweep_only(client, monkeypatch) -> None:
    monkeypatch.setattr("celery.current_app", Celery(broker="memory://", set_as_current=False))
    beat = Heartbeat.objects.create(name="sweep", at=timezone.now())
    assert client.get("/readyz").status_code == 200
    beat.at -= timedelta(minutes=10)
    beat.save()
    assert client.get("/readyz").status_code == 503


def test_readyz_tells_of_a_dead_broker_within_seconds(client, monkeypatch) -> None:
    dead = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    monkeypatch.setattr("celery.current_app", dead)
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["broker"].startswith("the broker does not answer")


def test_metrics_need_the_token_or_staff(client, settings, admin_client) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 403
    settings.METRICS_TOKEN = "s3"
    assert client.get("/metrics", headers={"Authorization": "Bearer s4"}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer s3"}).status_code == 200
    assert admin_client.get("/metrics").status_code == 200


def test_metrics_count_what_is_there(admin_client) -> None:
    service = Service.objects.create(host="h", username="u", repository_slug="o/r")
    now = timezone.now()
    Deploy.objects.create(service=service)
    Deploy.objects.create(
        service=service, state="succeeded", started_at=now - timedelta(seconds=4), finished_at=now, bytes_done=10
    )
    Heartbeat.objects.create(name="sweep", at=now)
    text = admin_client.get("/metrics").content.decode()
    assert 'ftp_deploy_deploys{state="queued"} 1.0' in text
    assert 'ftp_deploy_deploys{state="failed"} 0.0' in text
    assert 'ftp_deploy_services{status="unknown"} 1.0' in text
    assert f'ftp_deploy_duration_seconds_mean{{service="{service.pk}"}} 4.0' in text
    assert f'ftp_deploy_bytes_sent{{service="{service.pk}"}} 10.0' in text
    assert "ftp_deploy_sweep_age_seconds" in text
    assert "ftp_deploy_oldest_waiting_seconds" in text


def test_the_setup_link_makes_one_administrator_and_dies(client) -> None:
    link = setup_path()
    assert client.get(link).status_code == 200
    assert client.post(link, ACCOUNT).status_code == 302
    made = get_user_model().objects.get()
    assert (made.username, made.is_superuser, made.is_staff) == ("webmaster", True, True)
    assert client.session["_auth_user_id"] == str(made.pk)
    assert client.get(link).status_code == 404
    assert client.get(setup_path()).status_code == 404


def test_a_wrong_or_old_link_opens_nothing(client, monkeypatch) -> None:
    assert client.get("/setup/guess/").status_code == 404
    monkeypatch.setattr("ftp_deploy.standalone.setup.LINK_SECONDS", -1)
    assert client.get(setup_path()).status_code == 404


def test_a_weak_pair_of_passwords_is_refused(client) -> None:
    answer = client.post(setup_path(), ACCOUNT | {"password2": "other"})
    assert answer.status_code == 200
    assert not get_user_model().objects.exists()
