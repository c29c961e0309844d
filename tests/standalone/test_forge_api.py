"""The forge's REST API and web server: what they answer, and what they refuse."""

import http.client
import urllib.error
import urllib.request

import pytest

from ftp_deploy.standalone.forge import Forge
from tests.standalone.forge_client import call

pytestmark = pytest.mark.integration


def test_the_api_wants_the_token(forge):
    status, _, body = call(forge, "GET", "/user", token="wrong")
    assert (status, body["message"]) == (401, "Bad credentials")


def test_the_user_and_the_address(forge):
    assert call(forge, "GET", "/user")[2]["login"] == "webmaster"
    assert call(forge, "GET", "/user/emails")[2][0]["email"] == "webmaster@example.com"


def test_lists_are_paged_by_link(forge):
    for number in range(4):
        forge.create_repository(f"more-{number}")
    url, names = "/user/repos?per_page=2", []
    for _ in range(5):
        _, headers, body = call(forge, "GET", url)
        names += [item["name"] for item in body]
        links = dict(reversed(part.strip().split("; rel=")) for part in headers.get("Link", "").split(",") if part)
        if '"next"' not in links:
            break
        url = links['"next"'].strip("<>")
    assert names == ["more-0", "more-1", "more-2", "more-3", "site"]


def test_branches_commits_and_comparisons(forge):
    first = forge["site"].branches()["main"]
    second = forge.commit("site", {"x": b"1"}, "One")
    forge.commit("site", {"y": b"1"}, "On a branch", branch="topic/a")
    assert [item["name"] for item in call(forge, "GET", "/repos/webmaster/site/branches")[2]] == ["main", "topic/a"]
    assert call(forge, "GET", "/repos/webmaster/site/branches/topic/a")[0] == 200
    assert call(forge, "GET", "/repos/webmaster/site/branches/none")[0] == 404
    compared = call(forge, "GET", f"/repos/webmaster/site/compare/{first}...{second}")[2]
    assert [commit["sha"] for commit in compared["commits"]] == [second]
    assert (compared["status"], compared["ahead_by"]) == ("ahead", 1)
    newest = call(forge, "GET", f"/repos/webmaster/site/commits?sha={second}")[2]
    assert [item["sha"] for item in newest] == [second, first]
    assert call(forge, "GET", f"/repos/webmaster/site/commits/{second}")[2]["files"] == [
        {"filename": "x", "status": "added"}
    ]


def test_an_unchanged_answer_is_not_sent_again(forge):
    _, headers, _ = call(forge, "GET", "/repos/webmaster/site")
    assert call(forge, "GET", "/repos/webmaster/site", **{"If-None-Match": headers["ETag"]})[0] == 304


def test_the_life_of_a_hook(forge, receiver):
    hooks = "/repos/webmaster/site/hooks"
    config = {"url": receiver.url, "content_type": "json", "secret": "hush"}
    status, _, made = call(forge, "POST", hooks, {"name": "web", "events": ["push"], "config": config})
    assert status == 201
    assert made["config"]["secret"] == "********"
    assert call(forge, "POST", hooks, {"config": config})[0] == 422
    assert call(forge, "POST", hooks, {"config": {}})[0] == 422
    assert call(forge, "POST", f"{hooks}/{made['id']}/pings")[0] == 204
    forge.wait_for_deliveries()
    assert [headers["X-GitHub-Event"] for _, headers, _ in receiver.requests] == ["ping", "ping"]
    assert call(forge, "GET", f"{hooks}/{made['id']}")[2]["last_response"]["code"] == 202
    changed = call(forge, "PATCH", f"{hooks}/{made['id']}", {"config": {"url": receiver.url}})[2]
    assert "secret" not in changed["config"]
    assert call(forge, "DELETE", f"{hooks}/{made['id']}")[0] == 204
    assert call(forge, "GET", hooks)[2] == []
    assert call(forge, "DELETE", f"{hooks}/{made['id']}")[0] == 404


def test_commit_statuses(forge):
    head = forge["site"].branches()["main"]
    for state in ("pending", "success"):
        assert call(forge, "POST", f"/repos/webmaster/site/statuses/{head}", {"state": state})[0] == 201
    states = [item["state"] for item in call(forge, "GET", f"/repos/webmaster/site/commits/{head}/statuses")[2]]
    assert states == ["success", "pending"]
    assert call(forge, "POST", f"/repos/webmaster/site/statuses/{head}", {"state": "great"})[0] == 422
    assert call(forge, "POST", f"/repos/webmaster/site/statuses/{'1' * 40}", {"state": "success"})[0] == 422


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/repos/webmaster/none", "/repos/webmaster/site/x", "/repositories/99"]
)
def test_unknown_addresses(forge, path):
    assert call(forge, "GET", path)[0] == 404


def test_bodies_that_are_not_json(forge):
    request = urllib.request.Request(f"{forge.url}/api/v3/repos/webmaster/site/hooks", b"{", method="POST")
    request.add_header("Authorization", f"token {forge.token}")
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(request, timeout=30)
    caught.value.close()


def test_stopping_twice_is_harmless(tmp_path):
    forge = Forge(tmp_path)
    forge.start()
    forge.stop()
    forge.stop()


SITE = "/repos/webmaster/site"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("PATCH", SITE, {"name": "../other"}, 422, "Validation Failed"),
        ("PATCH", SITE, ["name"], 422, "Validation Failed"),
        ("GET", f"{SITE}/commits?sha=none", None, 404, "Not Found"),
        ("GET", f"{SITE}/commits/none", None, 422, "No commit found for SHA: none"),
        ("GET", f"{SITE}/compare/main...none", None, 404, "Not Found"),
        ("POST", f"{SITE}/statuses/{'1' * 40}", ["state"], 400, "Problems parsing JSON"),
        ("POST", f"{SITE}/hooks", {"config": {"url": "ftp://127.0.0.1"}}, 422, "Validation Failed"),
        ("POST", f"{SITE}/hooks/1/pings", None, 404, "Not Found"),
        ("POST", f"{SITE}/hooks/1/deliveries/1/attempts", None, 404, "Not Found"),
        ("PUT", SITE, {}, 404, "Not Found"),
    ],
)
def test_what_the_api_refuses(forge, method, path, body, status, words):
    answer = call(forge, method, path, body)
    assert (answer[0], answer[2]["message"]) == (status, words)
    assert answer[2]["documentation_url"].startswith("https://")


def test_a_delivery_that_is_not_there_is_not_sent_again(forge, receiver):
    forge.add_hook("site", receiver.url)
    forge.wait_for_deliveries()
    assert call(forge, "POST", f"{SITE}/hooks/1/deliveries/99/attempts")[0] == 404
    assert [item["id"] for item in call(forge, "GET", f"{SITE}/hooks/1/deliveries")[2]] == [forge.deliveries[0].id]
    assert len(receiver.requests) == 1


def test_pages_lead_back_as_well(forge):
    for number in range(4):
        forge.create_repository(f"more-{number}")
    _, headers, body = call(forge, "GET", "/user/repos?per_page=2&page=3")
    assert [item["name"] for item in body] == ["site"]
    assert 'page=1>; rel="first"' in headers["Link"]
    assert 'page=2>; rel="prev"' in headers["Link"]
    assert "next" not in headers["Link"]
    assert len(call(forge, "GET", "/user/repos?per_page=nothing&page=-1")[2]) == 5


def test_an_old_name_leads_to_the_repository_by_its_number(forge):
    number = call(forge, "GET", SITE)[2]["id"]
    assert call(forge, "PATCH", SITE, {"name": "new-site"})[2]["full_name"] == "webmaster/new-site"
    path = forge.url.removeprefix("http://")
    connection = http.client.HTTPConnection(path, timeout=30)
    for method, status in (("GET", 301), ("POST", 307)):
        login = {"Authorization": f"token {forge.token}"}
        connection.request(method, f"/api/v3{SITE}/hooks?per_page=5", headers=login)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
        assert answer.headers["Location"] == f"{forge.url}/api/v3/repositories/{number}/hooks?per_page=5"
    connection.close()
    assert call(forge, "GET", f"/repositories/{number}/branches")[2][0]["name"] == "main"


def test_two_branches_that_went_apart(forge):
    first = forge["site"].branches()["main"]
    forge.commit("site", {"y": b"1"}, "On a branch", branch="topic")
    forge.commit("site", {"x": b"1"}, "On main")
    expected = {("main", "topic"): "diverged", ("main", "main"): "identical", ("main", first): "behind"}
    for (base, head), status in expected.items():
        assert call(forge, "GET", f"{SITE}/compare/{base}...{head}")[2]["status"] == status
    assert call(forge, "GET", f"{SITE}/commits/none/statuses")[2] == []


def test_a_hook_is_changed_and_turned_off(forge, receiver):
    forge.add_hook("site", receiver.url, secret="hush")
    changed = call(forge, "PATCH", f"{SITE}/hooks/1", {"active": False, "events": ["push", "create"]})[2]
    assert (changed["active"], changed["events"]) == (False, ["push", "create"])
    assert changed["config"]["secret"] == "********"
    forge.commit("site", {"x": b"1"})
    forge.wait_for_deliveries()
    assert [delivery.event for delivery in forge.deliveries] == ["ping"]
    assert call(forge, "GET", "/meta")[2]["hooks"]


@pytest.mark.parametrize(
    ("method", "path", "login", "status"),
    [
        ("GET", "/webmaster/site.git/info/refs?service=git-upload-pack", "", 401),
        ("GET", "/webmaster/site.git/info/refs?service=git-upload-pack", "Basic ???", 401),
        ("GET", "/webmaster/site.git/info/refs?service=git-upload-pack", "Digest x", 401),
        ("GET", "/webmaster/none.git/info/refs?service=git-upload-pack", "token", 404),
        ("GET", "/webmaster/site.git/info/refs?service=git-upload-archive", "token", 404),
        ("GET", "/webmaster/site.git/git-upload-pack", "token", 405),
        ("POST", "/webmaster/site.git/info/refs?service=git-upload-pack", "token", 405),
        ("GET", "/webmaster/site.git/HEAD", "token", 404),
        ("GET", "/api/v3/user", "", 401),
    ],
)
def test_what_the_web_server_refuses(forge, method, path, login, status):
    connection = http.client.HTTPConnection(forge.url.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"token {forge.token}" if login == "token" else login} if login else {}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == status
    assert (answer.headers["WWW-Authenticate"] is not None) == (status == 401 and not path.startswith("/api"))
