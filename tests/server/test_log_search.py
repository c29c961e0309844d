"""The log's search: services, words and hashes of commits, numbers, and only what the person may see."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from ftp_deploy.models import Deploy
from ftp_deploy.server.views import log
from tests.factories import make_service
from tests.server import sample

pytestmark = pytest.mark.django_db


def deployed(service, message: str, node: str, **values) -> int:
    commits = [{"id": node * 40, "message": message, "author_name": "Zoë Łuk", "url": ""}]
    return Deploy.objects.create(
        service=service, state="succeeded", after=node * 40, commits=commits, position=1, **values
    ).pk


@pytest.fixture
def deploys(db):
    shop, blog = (
        make_service(repository_name="shop", branch="main"),
        make_service(repository_name="blog", branch="next"),
    )
    return {
        "menu": deployed(shop, "Add the spring menu\n\nWith prices", "a"),
        "logo": deployed(shop, "New logo", "b", user_name="editor"),
        "shop-words": deployed(blog, "Link to the shop", "c"),
    }


@pytest.fixture
def find(client, deploys):
    client.force_login(sample.add_admin())

    def ask(text: str, **more) -> set[str]:
        response = client.get(reverse("ftpdeploy_log"), {"text": text, **more})
        found = {deploy.pk for deploy in response.context["entries"]}
        return {name for name, pk in deploys.items() if pk in found}

    return ask


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SPRING menu", {"menu"}),
        ("prices", {"menu"}),
        ("zoë łuk logo", {"logo"}),
        ("bbbb", {"logo"}),
        ("bbb", set()),
        ("shop", {"menu", "logo", "shop-words"}),
        ("next", {"shop-words"}),
        ("nothing of this", set()),
    ],
)
def test_words_find_services_and_commits(find, text, found):
    assert find(text) == found


def test_a_number_finds_its_deploy(find, deploys):
    assert find(f"#{deploys['logo']}") == {"logo"}
    assert find(str(deploys["menu"])) == {"menu"}
    assert find("#999999999999999999999") == set()


def test_the_other_filters_hold_as_well(find, deploys):
    service = Deploy.objects.get(pk=deploys["menu"]).service_id
    assert find("shop", service=service) == {"menu", "logo"}
    assert find("menu", user="editor") == set()
    assert find("logo", user="editor", fails="1") == set()


def test_only_the_latest_deploys_are_searched_and_the_page_says_so(find, client, deploys, monkeypatch):
    monkeypatch.setattr(log, "SEARCHED", 1)
    assert find("menu") == set()
    assert find("link") == {"shop-words"}
    page = client.get(reverse("ftpdeploy_log"), {"text": "link"}).content.decode()
    assert "looked for in the latest 1 deploys" in page


def test_a_search_finds_nothing_of_services_that_are_not_seen(client, deploys):
    person = User.objects.create_user("person")
    person.user_permissions.set(Permission.objects.filter(codename="view_service"))
    service = Deploy.objects.get(pk=deploys["menu"]).service
    service.groups.add(Group.objects.create(name="others"))
    client.force_login(person)
    for text in ("menu", "aaaa", f"#{deploys['menu']}"):
        response = client.get(reverse("ftpdeploy_log"), {"text": text})
        assert deploys["menu"] not in {deploy.pk for deploy in response.context["entries"]}


def test_the_commit_that_was_searched_for_is_shown(client, deploys):
    deploy = Deploy.objects.get(pk=deploys["menu"])
    newer = {"id": "d" * 40, "message": "Something else", "author_name": "", "url": ""}
    Deploy.objects.filter(pk=deploy.pk).update(commits=[*deploy.commits, newer])
    client.force_login(sample.add_admin())
    for text, shown in (("", "Something else"), ("spring", "Add the spring menu")):
        page = client.get(reverse("ftpdeploy_log"), {"text": text}).content.decode()
        row = page.partition(f'id="deploy-{deploy.pk}"')[2].partition("</summary>")[0]
        assert f'<bdi class="message">{shown}</bdi>' in row


def test_no_filter_hands_nul_to_the_database(client, deploys):
    client.force_login(sample.add_admin())
    response = client.get(reverse("ftpdeploy_log"), {"text": "sp\0ring", "user": "\0"})
    assert response.context["filters"]["text"] == "spring"
    assert not any("\0" in value for value in response.context["filters"].values())
    assert [deploy.pk for deploy in response.context["entries"]] == [deploys["menu"]]
