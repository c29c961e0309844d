"""A long line of waiting deploys, and how the database finds the next one."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from ftp_deploy.deploys.lease import claim
from ftp_deploy.deploys.pick import take_next
from ftp_deploy.deploys.sweep import due_services
from ftp_deploy.models import Deploy, Service


def fill(services: int, deploys: int) -> None:
    """Store so many services with so many waiting pushes each."""
    made = Service.objects.bulk_create(
        Service(host="ftp.example.com", username="site", repository_name=f"site-{n}", repository_slug=f"owner/{n}")
        for n in range(services)
    )
    for start in range(0, services, 100):
        Deploy.objects.bulk_create(
            [
                Deploy(
                    service=service,
                    branch="main",
                    before=f"{n:040x}",
                    after=f"{n + 1:040x}",
                    position=n,
                    delivery_id=f"{service.pk}-{n}",
                )
                for service in made[start : start + 100]
                for n in range(deploys)
            ],
            batch_size=2000,
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def explain() -> dict[str, Any]:
    """Return the plans of the statements of one claim and of the sweep, captured as the app really sends them."""
    service = Service.objects.all()[500]
    statements: list[tuple[str, Any]] = []

    def keep(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return run(sql, params, many, context)

    with connection.execute_wrapper(keep):
        held = claim(service.pk)
        assert held
        assert take_next(held)
    swept: QuerySet[Service] = due_services()[:500]
    plans = {f"{number} {sql[:60]}": plan_of(sql, params) for number, (sql, params) in enumerate(statements)}
    return {
        "services": Service.objects.count(),
        "waiting": Deploy.objects.count(),
        "claim": plans,
        "sweep": swept.explain(),
    }


def plan_of(sql: str, params: Any) -> str:
    """Return the plan of one statement; empty for what has none."""
    if not sql.startswith(("SELECT", "UPDATE", "DELETE")):
        return ""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(row[0] for row in cursor.fetchall())


def seconds_to_claim(count: int) -> list[float]:
    """Claim the next deploy of so many services; return how long each took."""
    taken = []
    for service_id in Service.objects.order_by("-pk").values_list("pk", flat=True)[:count]:
        began = time.perf_counter()
        held = claim(service_id)
        assert held
        assert take_next(held)
        taken.append(time.perf_counter() - began)
        held.give_up()
        held.release()
    return taken
