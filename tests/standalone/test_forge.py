"""The forge, seen from outside: a git client, its REST API, and a receiver of its hooks."""

import hashlib
import hmac
import http.client
import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ftp_deploy.standalone.forge import Forge

pytestmark = pytest.mark.integration


class Receiver:
    """Takes hooks and keeps them."""

    def __init__(self):
        self.requests = []
        self.status = 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/deploy/key"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


def call(forge, method, path, body=None, token=None, **headers):
    """Call the REST API; return (status, headers, body)."""
    url = path if path.startswith("http") else f"{forge.url}/api/v3{path}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)
    request.add_header("Authorization", f"Bearer {token or forge.token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, error.headers, json.loads(text) if text else None


def git(*arguments, cwd=None):
    if not shutil.which("git"):
        pytest.skip("install git")
    environment = {
        "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "grace@example.com",
        "GIT_COMMITTER_NAME": "Grace", "GIT_COMMITTER_EMAIL": "grace@example.com",
    }  # fmt: skip
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.decode().strip()


def with_login(forge, name="site", token=None):
    return forge.clone_url(name).replace("://", f"://{forge.username}:{token or forge.token}@")


@pytest.fixture(params=["git, all features", "git, of old", "dulwich"])
def any_forge(request, start_forge):
    """The forge in each of its forms, with a site."""
    partial, use_git = request.param == "git, all features", "git" in request.param
    if use_git and not shutil.which("git"):
        pytest.skip("install git")
    forge = start_forge(partial=partial, use_git=use_git)
    forge.create_repository("site", {"a": b"1", "b/c": b"2"})
    return forge


# --- git ---


def test_git_clones_and_pushes(any_forge, tmp_path):
    clone = tmp_path / "clone"
    git("clone", "-q", with_login(any_forge), clone)
    assert (clone / "b/c").read_bytes() == b"2"
    (clone / "new").write_bytes(b"3")
    git("add", "new", cwd=clone)
    git("commit", "-qm", "Add new", cwd=clone)
    git("push", "-q", "origin", "main", cwd=clone)
    assert any_forge["site"].branches()["main"] == git("rev-parse", "HEAD", cwd=clone)


def test_git_clones_without_blobs(forge, tmp_path):
    git("clone", "-q", "--filter=blob:none", "--bare", "--depth=1", with_login(forge), tmp_path / "c")
    objects = git("cat-file", "--batch-all-objects", "--batch-check", "--unordered", cwd=tmp_path / "c")
    assert " blob " not in objects
    assert " tree " in objects


def test_a_wrong_token_is_refused(forge, tmp_path):
    with pytest.raises(RuntimeError, match="Authentication failed"):
        git("clone", "-q", with_login(forge, token="wrong"), tmp_path / "c")


def test_a_repository_that_is_not_there(forge, tmp_path):
    url = with_login(forge).replace("site", "other")
    with pytest.raises(RuntimeError, match="not found"):
        git("clone", "-q", url, tmp_path / "c")


def test_a_renamed_repository_is_found_under_its_old_name(forge, tmp_path):
    old = with_login(forge)
    forge.rename("site", "new-site")
    git("clone", "-q", old, tmp_path / "c")
    assert (tmp_path / "c/index.html").exists()
    assert call(forge, "GET", "/repos/webmaster/site")[2]["full_name"] == "webmaster/new-site"


def test_an_existing_repository_is_imported(forge, tmp_path):
    git("init", "-q", "-b", "trunk", tmp_path / "mine")
    (tmp_path / "mine/x").write_bytes(b"y")
    git("add", "x", cwd=tmp_path / "mine")
    git("commit", "-qm", "One", cwd=tmp_path / "mine")
    head = forge.import_repository("mine", tmp_path / "mine")
    assert head == git("rev-parse", "HEAD", cwd=tmp_path / "mine")
    assert forge["mine"].default_branch == "trunk"
    with pytest.raises(ValueError, match="cannot be copied"):
        forge.import_repository("none", tmp_path / "nothing-here")


def test_importing_works_without_git(tmp_path, monkeypatch, forge):
    monkeypatch.setattr("shutil.which", lambda _name: None)
    source = str(forge["site"].folder)
    assert forge.import_repository("copy", source) == forge["site"].branches()["main"]


# --- hooks ---


def test_a_push_calls_the_hook_signed(forge, receiver):
    before = forge["site"].branches()["main"]
    forge.add_hook("site", receiver.url, secret="hush")
    after = forge.commit("site", {"index.html": b"new", "css/site.css": None, "more": b"x"}, "Change three files")
    forge.wait_for_deliveries()
    (_, ping_headers, ping_body), (path, headers, body) = receiver.requests
    assert ping_headers["X-GitHub-Event"] == "ping"
    assert json.loads(ping_body)["hook_id"] == 1
    assert path == "/deploy/key"
    assert headers["X-GitHub-Event"] == "push"
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")
    payload = json.loads(body)
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, after)
    (commit,) = payload["commits"]
    assert (commit["added"], commit["modified"], commit["removed"]) == (["more"], ["index.html"], ["css/site.css"])
    assert commit["id"] == after == payload["head_commit"]["id"]
    assert payload["repository"]["full_name"] == "webmaster/site"
    assert not payload["forced"]
    assert all(delivery.status == 202 for delivery in forge.deliveries)


def test_the_payload_has_every_field_that_the_real_one_requires(forge, receiver):
    """The fields that GitHub's schema of a push requires, at the top and in repository, commits and pusher."""
    forge.add_hook("site", receiver.url, secret="hush")
    forge.commit("site", {"x": b"y"})
    forge.wait_for_deliveries()
    payload = json.loads(receiver.requests[-1][2])
    top = "ref before after created deleted forced base_ref compare commits head_commit repository pusher"
    assert set(top.split()) <= payload.keys()
    commit = "id tree_id distinct message timestamp url author committer"
    assert set(commit.split()) <= payload["commits"][0].keys()
    assert {"name", "email"} <= payload["pusher"].keys()
    assert isinstance(payload["repository"]["pushed_at"], int)


def test_a_git_push_calls_the_hook_too(forge, receiver, tmp_path):
    forge.add_hook("site", receiver.url, secret="hush")
    git("clone", "-q", with_login(forge), tmp_path / "c")
    git("checkout", "-qb", "feature/x", cwd=tmp_path / "c")
    git("push", "-q", "origin", "feature/x", cwd=tmp_path / "c")
    git("push", "-q", "origin", "--delete", "feature/x", cwd=tmp_path / "c")
    forge.wait_for_deliveries()
    created, deleted = (json.loads(body) for _, _, body in receiver.requests[1:])
    assert (created["ref"], created["created"], created["commits"]) == ("refs/heads/feature/x", True, [])
    assert (deleted["deleted"], deleted["after"], deleted["head_commit"]) == (True, "0" * 40, None)


def test_a_forced_push_says_so(forge, receiver):
    first = forge["site"].branches()["main"]
    forge.commit("site", {"x": b"1"}, "One")
    forge.add_hook("site", receiver.url)
    forge.push("site", "main", first)
    forge.wait_for_deliveries()
    payload = json.loads(receiver.requests[-1][2])
    assert payload["forced"]
    assert payload["commits"] == []
    assert "X-Hub-Signature-256" not in receiver.requests[-1][1]


def test_a_redelivery_keeps_its_guid(forge, receiver):
    forge.add_hook("site", receiver.url, secret="hush")
    forge.commit("site", {"x": b"1"})
    forge.wait_for_deliveries()
    status, _, _ = call(forge, "POST", f"/repos/webmaster/site/hooks/1/deliveries/{forge.deliveries[-1].id}/attempts")
    forge.wait_for_deliveries()
    assert status == 202
    (_, one, body), (_, other, again) = receiver.requests[1:]
    assert one["X-GitHub-Delivery"] == other["X-GitHub-Delivery"]
    assert body == again


def test_forms_are_signed_as_they_are_sent(forge, receiver):
    config = {"url": receiver.url, "content_type": "form", "secret": "hush"}
    forge.add_hook("site", config)
    forge.wait_for_deliveries()
    _, headers, body = receiver.requests[0]
    assert body.startswith(b"payload=")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()


def test_a_dead_receiver_does_not_hold_up_a_push(start_forge):
    forge = start_forge(hook_timeout=2.0)
    forge.create_repository("site", {"a": b"1"})
    forge.add_hook("site", "http://127.0.0.1:1/nobody")
    assert forge.commit("site", {"b": b"2"})
    forge.wait_for_deliveries()
    assert all(delivery.status == 0 and delivery.error for delivery in forge.deliveries)


# --- the REST API ---


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
