"""Guessing passwords on the ready project's login page."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.standalone.conftest import clean_environment

pytestmark = pytest.mark.integration

SCRIPT = """
import django
django.setup()
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
call_command("migrate", verbosity=0)
User.objects.create_user("webmaster", password="right-word-7", is_staff=True)
def log_in(password, address="192.0.2.7"):
    form = {"username": "webmaster", "password": password}
    return Client(REMOTE_ADDR=address, SERVER_NAME="localhost").post(reverse(settings.LOGIN_URL), form).status_code
print([log_in("right-word-7")] + [log_in("wrong") for _ in range(3)])
print([log_in("right-word-7"), log_in("right-word-7", "198.51.100.9")])
refused = Client(REMOTE_ADDR="192.0.2.7", SERVER_NAME="localhost").post(
    reverse(settings.LOGIN_URL), {"username": "webmaster", "password": "right-word-7"}, headers={"Accept": "text/html"}
)
print("Too many wrong passwords" in refused.content.decode(), "gate-card" in refused.content.decode())
"""


def test_after_some_failures_an_address_has_to_wait(folder: Path) -> None:
    environment = clean_environment(
        folder, DJANGO_SETTINGS_MODULE="ftp_deploy.standalone.settings", LOGIN_FAILURES="3", LOG_LEVEL="ERROR"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines() == ["[302, 200, 200, 429]", "[429, 302]", "True True"], done.stderr[-2000:]
