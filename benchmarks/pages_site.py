"""The stand-alone web process that the pages' benchmark asks, and what it finds out inside of it."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECRET = "benchmark-" * 5
LOOK = """
import json, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.core.cache import cache
from ftp_deploy.models import Deploy, Notification, Account
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(get_user_model().objects.get(username="operator"))
"""
SESSIONS = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
user = get_user_model().objects.get(username="operator")
answer = []
for _ in range(int(sys.argv[1])):
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    answer.append(session.session_key)
"""
ADDRESSES = """
from django.urls import reverse
service, busy = 2, 1
running = Deploy.objects.get(state="running").pk
failed = Deploy.objects.failed().filter(service=2).latest("pk").pk
ended = Deploy.objects.filter(service=1, state="succeeded").latest("pk").pk
middle = Deploy.objects.order_by("pk")[Deploy.objects.count() // 2].pk
answer = {
    "dashboard": reverse("ftpdeploy_dashboard"),
    "dashboard, page 20": reverse("ftpdeploy_dashboard") + "?page=20",
    "dashboard, text": reverse("ftpdeploy_dashboard") + "?text=site-77",
    "dashboard, failing": reverse("ftpdeploy_dashboard") + "?state=failing",
    "manage": reverse("ftpdeploy_service_manage", args=[service]),
    "manage, running, 100,000 deploys": reverse("ftpdeploy_service_manage", args=[busy]),
    "add service": reverse("ftpdeploy_service_add"),
    "edit service": reverse("ftpdeploy_service_edit", args=[service]),
    "running deploy, 5,000 files, 20,000 lines": reverse("ftpdeploy_deploy_detail", args=[running]),
    "its files, searched": reverse("ftpdeploy_deploy_detail", args=[running]) + "?file=picture-49",
    "ended deploy, 5,000 files": reverse("ftpdeploy_deploy_detail", args=[ended]),
    "failed deploy": reverse("ftpdeploy_deploy_detail", args=[failed]),
    "log": reverse("ftpdeploy_log"),
    "log, from the middle": reverse("ftpdeploy_log") + f"?before={middle}",
    "log, fails only": reverse("ftpdeploy_log") + "?fails=1",
    "log, one user": reverse("ftpdeploy_log") + "?user=person-7",
    "log, one service": reverse("ftpdeploy_log") + "?service=900",
    "audit": reverse("ftpdeploy_audit"),
    "statistics, 7 days": reverse("ftpdeploy_statistics") + "?days=7",
    "statistics": reverse("ftpdeploy_statistics"),
    "statistics, 90 days": reverse("ftpdeploy_statistics") + "?days=90",
    "statistics, 1 year": reverse("ftpdeploy_statistics") + "?days=365",
    "statistics, busiest service, 1 year": reverse("ftpdeploy_statistics") + "?days=365&service=1",
    "notifications": reverse("ftpdeploy_notifications"),
    "edit notification": reverse("ftpdeploy_notification_edit", args=[Notification.objects.first().pk]),
    "accounts": reverse("ftpdeploy_accounts"),
    "edit account": reverse("ftpdeploy_account_edit", args=[Account.objects.first().pk]),
    "password": reverse("ftpdeploy_password_change"),
    "login": reverse("ftpdeploy_login"),
}
"""
QUERIES = """
answer = {}
for name, path in json.loads(sys.argv[1]).items():
    cache.clear()
    with CaptureQueriesContext(connection) as seen:
        response = client.get(path)
    assert response.status_code in (200, 302), (name, response.status_code)
    answer[name] = len(seen)
"""


class Site:
    """The stand-alone web process over one database. As a context manager it ends what it started."""

    def __init__(self, database: str, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "ftp_deploy.standalone.settings",
            "DATABASE_URL": database,
            "DATA_FOLDER": str(folder),
            "SECRET_KEY": SECRET,
        }
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> str:
        """Run Python with these arguments to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, *command], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return done.stdout

    def ask(self, code: str, *arguments: str) -> object:
        """Run code that assigns ``answer``, with the site set up and a client logged in; return it."""
        script = LOOK + code + "\nprint('answer:' + json.dumps(answer))"
        return json.loads(self.run("-c", script, *arguments).rpartition("answer:")[2])

    def start(self) -> None:
        """Start the web process and wait until it answers."""
        from tests.servers.ports import free_ports
        from tests.servers.programs import wait_until

        self.port = free_ports(1)[0]
        log = (self.folder / "web.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ftp_deploy.standalone", "web", "--port", str(self.port), "--threads", "8"],
            env=self.environment,
            stdout=log,
            stderr=log,
        )
        wait_until(self.answers, "the web server answers")

    def answers(self) -> bool:
        """Whether the web process takes requests."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
