"""The forge, seen from outside: a git client, and a receiver of its hooks."""

import hashlib
import hmac
import json
import shutil
import subprocess

import pytest

from tests.standalone.forge_client import call

pytestmark = pytest.mark.integration


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
