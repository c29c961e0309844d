"""``/healthz``: this process answers. ``/readyz``: it can do its work. Both are for machines and need no login."""

from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ftp_deploy.deploys.sweep import last_sweep_age, stands_still

BROKER_SECONDS = 2.0


class NotReady(Exception):
    """One part does not work; the message says which and why, without addresses or secrets."""


def check_database() -> str:
    """Ask the database a question. Raises ``NotReady``."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Exception as error:
        raise NotReady(f"the database does not answer ({type(error).__name__})") from error
    return "ok"


def check_broker() -> str:
    """Connect to the broker within two seconds. Raises ``NotReady``."""
    from celery import current_app

    try:
        with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except Exception as error:
        raise NotReady(f"the broker does not answer ({type(error).__name__})") from error
    return "ok"


def check_sweep() -> str:
    """A recent sweep proves that a worker with beat runs. Raises ``NotReady``."""
    age = last_sweep_age()
    if age is None:
        raise NotReady("no sweep has run yet: is a worker running?")
    if stands_still(age):
        raise NotReady(f"the last sweep was {int(age.total_seconds())} s ago: is a worker running?")
    return f"{int(age.total_seconds())} s ago"


CHECKS: dict[str, Callable[[], str]] = {"database": check_database, "broker": check_broker, "sweep": check_sweep}


@never_cache
@require_safe
@login_not_required
def live(request: HttpRequest) -> JsonResponse:
    """200: the process is alive. Touches nothing else, so that a slow database does not get it restarted."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
@login_not_required
def ready(request: HttpRequest) -> JsonResponse:
    """200 where database, broker and sweep work, else 503; the body says how each one is."""
    parts: dict[str, str] = {}
    status = 200
    for name, check in CHECKS.items():
        try:
            parts[name] = check()
        except NotReady as error:
            parts[name] = str(error)
            status = 503
        except Exception as error:  # noqa: BLE001 - the sweep's row cannot be read where the database is down
            parts[name] = f"cannot tell ({type(error).__name__})"
            status = 503
    response = JsonResponse({"status": "ok" if status == 200 else "not ready", "checks": parts}, status=status)
    response._has_been_logged = True  # type: ignore[attr-defined] # an answer, not an error: no line in the log
    return response
