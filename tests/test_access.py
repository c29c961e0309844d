"""Who may see what; the audit log."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import RequestFactory

from ftp_deploy import access, audit
from ftp_deploy.models import AuditEntry, Service
from tests.factories import make_service

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("builder")


class TestServices:
    def test_without_groups_everybody_sees_a_service(self, user: User) -> None:
        service = make_service()
        assert access.may_see(user, service)

    def test_with_groups_only_their_members_do(self, user: User) -> None:
        service, other = make_service(), make_service()
        clients, staff = Group.objects.create(name="clients"), Group.objects.create(name="staff")
        service.groups.set([clients, staff])
        assert list(access.services_for(user)) == [other]
        user.groups.add(clients, staff)
        assert list(access.services_for(user).order_by("pk")) == [service, other]

    def test_a_superuser_sees_all_and_an_inactive_user_nothing(self, user: User) -> None:
        make_service().groups.add(Group.objects.create(name="clients"))
        assert access.services_for(User.objects.create_superuser("root")).count() == 1
        user.is_active = False
        assert not access.services_for(user).exists()
        assert not access.services_for(AnonymousUser()).exists()


class TestGroups:
    def test_they_are_there_after_a_migration(self) -> None:
        operators = Group.objects.get(name=access.OPERATORS).permissions.values_list("codename", flat=True)
        viewers = Group.objects.get(name=access.VIEWERS).permissions.values_list("codename", flat=True)
        assert {"deploy_service", "restore_service", "skip_deploy", "view_service"} <= set(operators)
        assert "view_deploy" in viewers
        assert not {name for name in viewers if not name.startswith("view_")}
        assert not {"change_service", "add_account", "view_account"} & set(operators)

    def test_one_that_the_site_has_changed_stays_so(self) -> None:
        Group.objects.get(name=access.VIEWERS).permissions.clear()
        access.make_groups(apps.get_app_config("ftp_deploy"))
        assert not Group.objects.get(name=access.VIEWERS).permissions.exists()


class TestAudit:
    def test_a_request_tells_who_and_from_where(self, user: User, settings: Any) -> None:
        settings.FTP_DEPLOY_CLIENT_ADDRESS_HEADER = "X-Forwarded-For"
        request = RequestFactory().post("/", headers={"x-forwarded-for": "1.2.3.4, 192.0.2.7"})
        request.user = user
        service = make_service()
        audit.record(request, "deploy", service, deploy=7)
        entry = AuditEntry.objects.get()
        assert (entry.user, entry.user_name, entry.action, entry.service) == (user, "builder", "deploy", service)
        assert (entry.address, entry.detail, entry.subject) == ("192.0.2.7", {"deploy": 7}, str(service))

    def test_a_user_alone_and_nobody(self, user: User) -> None:
        audit.record(user, "x" * 80, subject="y" * 400)
        audit.record(None, "sweep")
        audit.record(AnonymousUser(), "look")
        assert [entry.user_name for entry in AuditEntry.objects.order_by("pk")] == ["builder", "", ""]

    def test_a_request_without_an_address(self) -> None:
        request = RequestFactory().get("/", REMOTE_ADDR="")
        audit.record(request, "look")
        assert AuditEntry.objects.get().address is None

    def test_no_secret_is_kept(self) -> None:
        service = make_service()
        audit.record(
            None, "save", service, password="canary", hook_secret="canary", changed=["host", "password"], service_id=1
        )
        detail = AuditEntry.objects.get().detail
        assert detail == {
            "password": "***",
            "hook_secret": "***",
            "changed": ["host", "password"],
            "service_id": 1,
        }

    def test_an_entry_outlives_its_service(self) -> None:
        service = make_service()
        audit.record(None, "save", service)
        Service.objects.all().delete()
        assert AuditEntry.objects.get().subject
