"""What the providers make of their forge's answers; answers written down after each forge's documentation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.providers.base import Account, Commit, CommitState, Hook, Provider
from ftp_deploy.providers.bitbucket import Bitbucket
from ftp_deploy.providers.cache import conditional_answers
from ftp_deploy.providers.gitea import Gitea
from ftp_deploy.providers.github import GitHub
from ftp_deploy.providers.gitlab import GitLab, signing_token
from tests.providers.samples import PAYLOADS
from tests.providers.scripted_forge import Reply, ScriptedForge, Seen

OLD, NEW = "a" * 40, "b" * 40
URL = "https://deploy.example.com/deploy/key"
Answers = dict[tuple[str, str], Any]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    conditional_answers.clear()
    yield
    conditional_answers.clear()


@pytest.fixture
def forge() -> Iterator[ScriptedForge]:
    with ScriptedForge() as forge:
        yield forge


def answering(forge: ScriptedForge, answers: Answers) -> None:
    """Let the forge answer by method and path; a list answers once each, anything unknown is a 404."""

    def script(seen: Seen) -> Reply:
        found = answers.get((seen.method, seen.path.partition("?")[0]))
        if isinstance(found, Reply):
            return found
        return Reply(404, {"message": "Not Found"}) if found is None else Reply(200, found)

    forge.script = script


def names(provider: Provider) -> list[str]:
    return [repository.full_name for repository in provider.repositories()]


class TestGitLab:
    project = "/api/v4/projects/g%2Fs%2Fr"

    def provider(self, forge: ScriptedForge) -> GitLab:
        return GitLab(Account("builder", "canary-token", f"{forge.url}/", allow_private_addresses=True))

    def test_projects_and_branches(self, forge: ScriptedForge) -> None:
        item = {"path_with_namespace": "g/s/r", "name": "r", "default_branch": "main", "visibility": "public"}
        answering(
            forge,
            {
                ("GET", "/api/v4/projects"): [item],
                ("GET", self.project): item,
                ("GET", f"{self.project}/repository/branches"): [{"name": "main"}, {"name": "feature/x"}],
            },
        )
        provider = self.provider(forge)
        (found,) = provider.repositories()
        assert (found.full_name, found.default_branch, found.private) == ("g/s/r", "main", False)
        assert provider.repository("g/s/r") == found
        assert provider.branches("g/s/r") == ["main", "feature/x"]
        assert {seen.headers["private-token"] for seen in forge.seen} == {"canary-token"}
        assert "membership=true" in forge.seen[0].path

    def test_a_hook_is_made_with_both_kinds_of_secret(self, forge: ScriptedForge) -> None:
        made = {"id": 5, "url": URL, "push_events": True, "alert_status": "executable", "token_present": True}
        answering(
            forge,
            {
                ("POST", f"{self.project}/hooks"): made,
                ("PUT", f"{self.project}/hooks/5"): made,
                ("GET", f"{self.project}/hooks"): [made],
                ("GET", f"{self.project}/hooks/5/events"): [{"response_status": "403"}],
                ("DELETE", f"{self.project}/hooks/5"): Reply(204),
            },
        )
        provider = self.provider(forge)
        hook = provider.add_hook("g/s/r", URL, "secret")
        assert hook == Hook("5", URL, active=True, events=("push",), has_secret=True)
        body = forge.seen[0].body
        assert (body["token"], body["signing_token"]) == ("secret", signing_token("secret"))
        assert body["enable_ssl_verification"] is True
        assert provider.update_hook("g/s/r", "5", URL, "secret").id == "5"
        (listed,) = provider.hooks("g/s/r")
        assert provider.with_last_delivery("g/s/r", listed).last_status == 403
        provider.remove_hook("g/s/r", "5")
        provider.remove_hook("g/s/r", "6")

    def test_a_hook_that_was_turned_off_after_failures(self, forge: ScriptedForge) -> None:
        off = {"id": 5, "url": URL, "push_events": True, "alert_status": "disabled"}
        answering(forge, {("GET", f"{self.project}/hooks"): [off]})
        provider = self.provider(forge)
        (hook,) = provider.hooks("g/s/r")
        assert not hook.active
        assert hook.has_secret is None
        assert provider.with_last_delivery("g/s/r", hook) == hook, "an older GitLab does not tell"

    def test_commits_come_oldest_first(self, forge: ScriptedForge) -> None:
        commits = [{"id": NEW, "message": "b", "author_email": "builder@example.com"}, {"id": OLD, "message": "a"}]
        answering(
            forge,
            {
                ("GET", f"{self.project}/repository/compare"): {"commits": commits},
                ("GET", f"{self.project}/repository/commits"): commits,
            },
        )
        provider = self.provider(forge)
        for before in ("c" * 40, ""):
            assert [commit.id for commit in provider.commits("g/s/r", before, NEW)] == [OLD, NEW]

    def test_a_status_that_is_set_already_is_fine(self, forge: ScriptedForge) -> None:
        forge.reply({"message": "Cannot transition status via :run from :running"}, 400)
        self.provider(forge).set_status("g/s/r", NEW, CommitState.PENDING, URL, "x" * 999)
        assert forge.seen[0].path == f"{self.project}/statuses/{NEW}"
        assert (forge.seen[0].body["state"], forge.seen[0].body["target_url"]) == ("running", URL)
        forge.reply({"message": "no"}, 403)
        with pytest.raises(ApiError):
            self.provider(forge).set_status("g/s/r", NEW, CommitState.SUCCESS, "", "")

    def test_user_links_and_git(self, forge: ScriptedForge) -> None:
        answering(forge, {("GET", "/api/v4/user"): {"email": "builder@example.com"}})
        provider = self.provider(forge)
        assert provider.user_email() == "builder@example.com"
        access = provider.git_access("g/s/r")
        assert (access.url, access.username) == (f"{forge.url}/g/s/r.git", "oauth2")
        assert provider.commit_url("g/s/r", NEW) == f"{forge.url}/g/s/r/-/commit/{NEW}"
        assert provider.compare_url("g/s/r", OLD, NEW).endswith(f"/-/compare/{OLD}...{NEW}")
        assert provider.published_addresses() == ()
        assert GitLab(Account()).published_addresses()


class TestGitHub:
    def test_where_the_api_is(self) -> None:
        for url, base in (
            ("", "https://api.github.com"),
            ("https://github.com/", "https://api.github.com"),
            ("https://api.github.com", "https://api.github.com"),
            ("https://ghe.example.com", "https://ghe.example.com/api/v3"),
            ("https://ghe.example.com/api/v3/", "https://ghe.example.com/api/v3"),
        ):
            assert GitHub(Account(url=url)).client.base_url == base
        assert GitHub(Account(url="https://ghe.example.com/api/v3")).web_url == "https://ghe.example.com"

    def test_a_hidden_address_is_looked_up(self, forge: ScriptedForge) -> None:
        emails = [
            {"email": "old@example.com", "primary": False},
            {"email": "builder@example.com", "primary": True, "verified": True},
        ]
        answering(forge, {("GET", "/api/v3/user"): {"email": None}, ("GET", "/api/v3/user/emails"): emails})
        assert GitHub(Account("", "t", forge.url, allow_private_addresses=True)).user_email() == "builder@example.com"

    def test_where_the_token_may_not_read_it_there_is_none(self, forge: ScriptedForge) -> None:
        answering(forge, {("GET", "/api/v3/user"): {"email": None}})
        assert GitHub(Account("", "t", forge.url, allow_private_addresses=True)).user_email() == ""

    def test_an_update_keeps_what_a_person_chose(self, forge: ScriptedForge) -> None:
        config = {"url": "https://old", "content_type": "form", "insecure_ssl": "1", "secret": "********"}
        forge.reply({"id": 1, "events": ["issues"], "config": config, "active": False})
        forge.reply({"id": 1, "events": ["issues", "push"], "config": config, "active": True})
        GitHub(Account("", "t", forge.url, allow_private_addresses=True)).update_hook("o/r", "1", URL, "secret")
        assert forge.seen[1].body == {
            "active": True,
            "events": ["issues", "push"],
            "config": {"url": URL, "content_type": "form", "secret": "secret", "insecure_ssl": "1"},
        }

    def test_the_last_answer_of_a_hook(self, forge: ScriptedForge) -> None:
        hooks = [
            {"id": 1, "active": True, "events": ["push"], "config": {"url": URL}, "last_response": {"code": 403}},
            {"id": 2, "active": True, "events": ["*"], "config": {"url": URL, "secret": "*"}, "last_response": {}},
        ]
        answering(forge, {("GET", "/api/v3/repos/o/r/hooks"): hooks})
        first, second = GitHub(Account("", "t", forge.url, allow_private_addresses=True)).hooks("o/r")
        assert (first.last_status, first.has_secret, first.sends_pushes) == (403, False, True)
        assert (second.last_status, second.has_secret, second.sends_pushes) == (None, True, True)

    def test_a_long_push_is_listed_whole(self, forge: ScriptedForge) -> None:
        page = [{"sha": f"{n:040x}", "commit": {"message": str(n), "author": {"name": "Builder"}}} for n in range(1, 4)]
        next_page = f'<{forge.url}/api/v3/x?page=2>; rel="next"'
        forge.reply({"commits": page[:2], "total_commits": 3}, Link=next_page)
        forge.reply({"commits": page[2:], "total_commits": 3})
        found = GitHub(Account("", "t", forge.url, allow_private_addresses=True)).commits("o/r", OLD, page[2]["sha"])
        assert [commit.message for commit in found] == ["1", "2", "3"]
        assert isinstance(found[0], Commit)

    @pytest.mark.parametrize("name", ["", "r", "../r", "o/..", "o//r", "o/r name", "./x"])
    def test_a_name_that_leads_elsewhere_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="full name"):
            GitHub(Account()).git_access(name)

    def test_a_name_may_be_entered_as_an_address_ends(self) -> None:
        assert GitHub(Account()).git_access("/o/r.git").url == "https://github.com/o/r.git"

    def test_git_logins(self) -> None:
        assert GitHub(Account("builder", "ghp_x")).git_access("o/r").username == "builder"
        assert GitHub(Account("builder", "ghs_x")).git_access("o/r").username == "x-access-token"
        assert GitHub(Account("builder", "")).git_access("o/r").username == ""


class TestBitbucket:
    def test_logins(self) -> None:
        user = Bitbucket(Account("builder@example.com", "t")).git_access("o/r")
        assert user.username == "x-bitbucket-api-token-auth"
        assert Bitbucket(Account("", "t")).git_access("o/r").username == "x-token-auth"
        assert Bitbucket(Account("", "t")).user_email() == ""

    @pytest.mark.skipif(not PAYLOADS.exists(), reason="the captured answers are not there")
    def test_captured_answers(self, forge: ScriptedForge) -> None:
        def captured(name: str) -> Any:
            answer = json.loads((PAYLOADS / "bitbucket-rest" / f"go-scm-{name}.json").read_bytes())
            return {key: value for key, value in answer.items() if key != "next"}  # it leads to another host

        workspaces, repositories = captured("user_workspaces"), captured("repos")
        slug = workspaces["values"][0]["workspace"]["slug"]
        answers: Answers = {("GET", "/2.0/user/workspaces"): workspaces}
        for item in workspaces["values"]:
            answers["GET", f"/2.0/repositories/{item['workspace']['slug']}"] = repositories
        answers["GET", f"/2.0/repositories/{slug}/r/refs/branches"] = captured("branches")
        answers["GET", f"/2.0/repositories/{slug}/r/hooks"] = captured("hooks")
        answers["GET", "/2.0/user/emails"] = {"values": [{"email": "builder@example.org", "is_primary": True}]}
        answering(forge, answers)
        provider = Bitbucket(Account("builder@example.com", "t", forge.url, allow_private_addresses=True))
        full_names = {item["full_name"] for item in repositories["values"]}
        assert set(names(provider)) == full_names
        assert provider.branches(f"{slug}/r") == [item["name"] for item in captured("branches")["values"]]
        (hook,) = provider.hooks(f"{slug}/r")
        assert hook.sends_pushes
        assert provider.user_email() == "builder@example.org"

    def test_an_error_of_the_forge(self, forge: ScriptedForge) -> None:
        forge.reply({"type": "error", "error": {"message": "Repository o/r not found"}}, 404)
        with pytest.raises(ApiError, match="It said: Repository o/r not found"):
            Bitbucket(Account("", "t", forge.url, allow_private_addresses=True)).repository("o/r")

    def test_a_status_needs_an_address(self, forge: ScriptedForge) -> None:
        provider = Bitbucket(Account("", "t", forge.url, allow_private_addresses=True))
        provider.set_status("o/r", NEW, CommitState.SUCCESS, "", "live")
        assert forge.seen == []
        forge.reply({}, 201)
        provider.set_status("o/r", NEW, CommitState.FAILURE, URL, "x" * 999)
        assert forge.seen[0].path == f"/2.0/repositories/o/r/commit/{NEW}/statuses/build"
        assert (forge.seen[0].body["state"], len(forge.seen[0].body["description"])) == ("FAILED", 255)

    def test_links(self) -> None:
        provider = Bitbucket(Account())
        assert provider.commit_url("o/r", NEW) == f"https://bitbucket.org/o/r/commits/{NEW}"
        assert provider.compare_url("o/r", OLD, NEW) == f"https://bitbucket.org/o/r/branches/compare/{NEW}..{OLD}"


class TestGitea:
    def test_without_an_address_it_says_so(self) -> None:
        with pytest.raises(ConfigurationError, match="no address"):
            Gitea(Account()).repositories()

    def test_the_next_page_is_asked_for_where_we_know_the_server(self, forge: ScriptedForge) -> None:
        forge.reply([{"full_name": "o/a"}], Link='<http://inside.example/api/v1/user/repos?limit=1&page=2>; rel="next"')
        forge.reply([{"full_name": "o/b"}])
        assert names(Gitea(Account("builder", "t", forge.url, allow_private_addresses=True))) == ["o/a", "o/b"]
        assert forge.seen[1].path == "/api/v1/user/repos?limit=1&page=2"

    def test_a_hook_is_made_active(self, forge: ScriptedForge) -> None:
        forge.reply({"id": 3, "active": True, "events": ["push"], "config": {"url": URL}}, 201)
        hook = Gitea(Account("builder", "t", forge.url, allow_private_addresses=True)).add_hook("o/r", URL, "secret")
        assert hook == Hook("3", URL, active=True, events=("push",), has_secret=None)
        assert forge.seen[0].body["active"] is True
        assert forge.seen[0].headers["authorization"] == "token t"


class TestWhatGitHubAloneHas:
    def provider(self, forge: ScriptedForge, token: str = "ghp_canary") -> GitHub:
        return GitHub(Account("builder", token, f"{forge.url}/", allow_private_addresses=True))

    def test_an_apps_token_sees_what_the_app_is_installed_on(self, forge: ScriptedForge) -> None:
        item = {"full_name": "o/r", "name": "r", "default_branch": "main", "private": True}
        answering(forge, {("GET", "/api/v3/installation/repositories"): {"total_count": 1, "repositories": [item]}})
        assert names(self.provider(forge, "ghs_canary")) == ["o/r"]

    def test_the_address_of_a_person(self, forge: ScriptedForge) -> None:
        """The public one; else the primary one, where the token may read it; a forge in trouble is told."""
        provider = self.provider(forge)
        answering(forge, {("GET", "/api/v3/user"): {"email": "shown@example.com"}})
        assert provider.user_email() == "shown@example.com"
        emails = [{"email": "other@example.com", "primary": False}, {"email": "first@example.com", "primary": True}]
        answering(forge, {("GET", "/api/v3/user"): {"email": None}, ("GET", "/api/v3/user/emails"): emails})
        assert provider.user_email() == "first@example.com"
        for status, found in ((403, ""), (404, "")):
            answers = {("GET", "/api/v3/user"): {"email": None}, ("GET", "/api/v3/user/emails"): Reply(status, {})}
            answering(forge, answers)
            assert provider.user_email() == found
        answers = {("GET", "/api/v3/user"): {"email": None}, ("GET", "/api/v3/user/emails"): Reply(422, {})}
        answering(forge, answers)
        with pytest.raises(ApiError):
            provider.user_email()

    def test_pages_and_published_addresses(self, forge: ScriptedForge) -> None:
        answering(forge, {("GET", "/api/v3/meta"): {"hooks": ["192.0.2.0/24"]}})
        provider = self.provider(forge)
        assert provider.published_addresses() == ["192.0.2.0/24"]
        assert provider.commit_url("o/r", NEW) == f"{forge.url}/o/r/commit/{NEW}"
        assert provider.compare_url("o/r", OLD, NEW) == f"{forge.url}/o/r/compare/{OLD}...{NEW}"
