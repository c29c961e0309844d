"""Pages cost the same with few rows and with many: as many queries, and no page that grows without end."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ftp_deploy.deploys.tallies import recount
from ftp_deploy.models import Account, Address, AuditEntry, Change, Deploy, LogLine, Notification, Service
from tests.factories import make_service
from tests.server import sample
from tests.server.test_pages import QUERIES, pages, readable

pytestmark = pytest.mark.django_db

FEW, MANY = 3, 60
MORE = {
    "ftpdeploy_dashboard": ["?text=site", "?state=failing", "?state=running", "?state=ok", "?provider=github"],
    "ftpdeploy_log": ["?fails=1", "?text=site", "?user=operator", "?service=1&since=2020-01-01&until=2030-01-01"],
    "ftpdeploy_statistics": ["?days=7", "?days=90", "?days=365", "?days=365&service=1"],
    "ftpdeploy_deploy_detail": ["?file=page"],
}
"""Filters that a page has to stand as well."""


def add(numbers: range) -> None:
    """Add one of everything for each number, and as much to the services and deploys that the pages show."""
    now = timezone.now()
    shown = list(Deploy.objects.filter(state__in=["failed", "running"]).order_by("pk")[:6])
    for number in numbers:
        account = Account.objects.create(name=f"account {number}", provider="github")
        notification = Notification.objects.create(name=f"set {number}")
        Address.objects.create(notification=notification, email=f"{number}@example.com")
        Address.objects.create(notification=Notification.objects.first(), email=f"first-{number}@example.com")
        service = make_service(repository_name=f"site {number}", account=account, notification=notification)
        for place, state in enumerate(("succeeded", "failed", "queued")):
            at = now - timedelta(days=number, minutes=10 - place)
            for one in (service, shown[0].service):
                deploy = Deploy.objects.create(
                    service=one,
                    state=state,
                    started_at=at,
                    finished_at=at,
                    user_name=f"person {number}",
                    position=place,
                )
                Deploy.objects.filter(pk=deploy.pk).update(created_at=at)
        AuditEntry.objects.create(action="deploy", service=service, user_name="operator")
    for deploy in shown:
        Change.objects.bulk_create(Change(deploy=deploy, path=f"page-{n}.html", action="add") for n in numbers)
        LogLine.objects.bulk_create(LogLine(deploy=deploy, at=now, text=f"line {n}") for n in numbers)
    for service in Service.objects.all():
        recount(service.pk)


def addresses() -> list[str]:
    found = []
    for name in readable():
        address = reverse(name, args=pages()[name])
        found += [address + extra for extra in ["", *MORE.get(name, [])]]
    return found


def queries(client, address: str) -> int:
    cache.clear()
    with CaptureQueriesContext(connection) as seen:
        response = client.get(address)
        if response.streaming:
            b"".join(response.streaming_content)
    assert response.status_code == 200, address
    return len(seen)


def test_queries_do_not_grow_with_the_rows(client) -> None:
    sample.fill(days=2)
    add(range(FEW))
    client.force_login(sample.add_admin())
    asked = addresses()
    before = {address: queries(client, address) for address in asked}
    add(range(FEW, MANY))
    after = {address: queries(client, address) for address in asked}
    grown = {address: (before[address], after[address]) for address in asked if after[address] > before[address]}
    assert len(asked) > 25
    assert grown == {}
    assert {address: number for address, number in after.items() if number > QUERIES} == {}


def test_a_person_in_groups_costs_no_more(client, django_user_model) -> None:
    from django.contrib.auth.models import Group, Permission

    sample.fill(days=2)
    add(range(20))
    person = django_user_model.objects.create_user("person")
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="ftp_deploy"))
    group = Group.objects.create(name="studio")
    person.groups.add(group)
    for service in Service.objects.all()[::2]:
        service.groups.add(group)
    client.force_login(person)
    # Two more than an administrator's: permissions come from the database.
    assert {address: number for address in addresses() if (number := queries(client, address)) > QUERIES + 2} == {}


def test_a_long_deploy_is_a_short_page(client) -> None:
    service = sample.fill(days=1)[1]
    deploy = Deploy.objects.get(state="running")
    paths = (f"assets/{'a-long-folder-name/' * 8}picture-{n}.webp" for n in range(5000))
    Change.objects.bulk_create(Change(deploy=deploy, path=path, action="add", size=n) for n, path in enumerate(paths))
    LogLine.objects.bulk_create(
        LogLine(deploy=deploy, at=timezone.now(), text=f"Uploaded {'a-long-folder-name/' * 4}{n}.webp")
        for n in range(5000)
    )
    client.force_login(sample.add_admin())
    page = client.get(reverse("ftpdeploy_deploy_detail", args=[deploy.pk]))
    assert len(page.content) < 100_000
    assert service.pk == deploy.service_id
    found = client.get(reverse("ftpdeploy_deploy_detail", args=[deploy.pk]) + "?file=picture-4999").content.decode()
    assert found.count("picture-4999.webp") == 1
