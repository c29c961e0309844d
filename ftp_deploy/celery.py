"""A ready Celery app: ``celery -A ftp_deploy worker -B``.

It reads ``CELERY_*`` settings of the Django project, and the guide's ``BROKER_URL``. Without a broker URL it uses the
embedded broker: messages are files in a folder that the web process and the worker of one machine share.
"""

import hashlib
import logging
import os
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery, current_app, signals
from django.conf import settings

from ftp_deploy import filebroker
from ftp_deploy.conf import conf

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ftp_deploy.standalone.settings")

SOCKET_SECONDS = 2.0


def broker_directory() -> Path:
    """Return the folder of the embedded broker, readable by this user alone."""
    if conf.BROKER_DIRECTORY:
        folder = Path(conf.BROKER_DIRECTORY)
    else:
        project = hashlib.sha256(f"{settings.SETTINGS_MODULE}:{settings.SECRET_KEY}".encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"ftp-deploy-{os.getuid()}-{project}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def embedded_broker() -> dict[str, Any]:
    """Return the Celery settings of the broker that needs no server."""
    folder = broker_directory()
    messages, control = folder / "messages", folder / "control"
    for part in (messages, control):
        part.mkdir(mode=0o700, exist_ok=True)
    filebroker.register()
    return {
        "broker_url": f"{filebroker.SCHEME}://localhost",  # a host is not needed; without one each connection warns
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": 0.2,
        },
        "beat_schedule_filename": str(folder / "beat-schedule"),
    }


def defaults() -> dict[str, Any]:
    """Return the Celery settings of this app; ``CELERY_*`` settings of the project override each of them.

    Rows are the truth and messages only wake, so messages are acknowledged early, results are not kept, and no client
    waits long for a broker.
    """
    values: dict[str, Any] = {
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_publish_retry": False,
        "worker_prefetch_multiplier": 1,
        "worker_soft_shutdown_timeout": 20.0,
        "broker_connection_timeout": SOCKET_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_pool_acquire_timeout": SOCKET_SECONDS,
        "broker_transport_options": {
            "socket_timeout": SOCKET_SECONDS * 5,
            "socket_connect_timeout": SOCKET_SECONDS,
            "max_retries": 0,
        },
    }
    broker = getattr(settings, "CELERY_BROKER_URL", "") or getattr(settings, "BROKER_URL", "")
    if not broker:
        return values | embedded_broker()
    if broker.startswith(("amqp", "pyamqp")):
        values.pop("broker_transport_options")
    return values | {"broker_url": broker}


def make_app() -> Celery:
    """Return the configured app."""
    found = Celery("ftp_deploy")
    found.config_from_object(ProjectSettings())
    found.autodiscover_tasks(["ftp_deploy"])  # At the worker's start, after Celery has set up Django.
    return found


class ProjectSettings:
    """The defaults and the project's ``CELERY_*`` settings as the attributes that Celery reads, at first use."""

    def __init__(self) -> None:
        self._values: dict[str, Any] | None = None

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            named = {name: getattr(settings, name) for name in dir(settings) if name.startswith("CELERY_")}
            if not named.get("CELERY_BROKER_URL"):
                named.pop("CELERY_BROKER_URL", None)  # Empty, as an unset variable of the environment: no broker.
            self._values = defaults() | {name.removeprefix("CELERY_").lower(): value for name, value in named.items()}
        return self._values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._load()[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __dir__(self) -> list[str]:
        return sorted(self._load())


app = make_app()


def stop_in_time(**_kwargs: Any) -> None:
    """See to it that a worker of this app stops within ``worker_soft_shutdown_timeout``, whatever a task waits for.

    Runs hand back their deploys long before; a mail or a call to a forge that is cut off is made again. In an app of
    the project this is left to the project: its own tasks may need longer.
    """
    seconds = float(app.conf.worker_soft_shutdown_timeout or 0)
    if seconds and current_app._get_current_object() is app:
        last_resort = threading.Timer(seconds, end_at_once)
        last_resort.daemon = True
        last_resort.start()


def end_at_once() -> None:
    """End this worker and the processes of its pool."""
    from billiard import active_children  # type: ignore[import-untyped]

    logger.warning("A task did not end in time; the worker stops without it.")
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    os._exit(os.EX_OK)


signals.worker_shutting_down.connect(stop_in_time)
