from typing import Any

import pytest

from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.providers.base import Account
from ftp_deploy.providers.git import Git
from tests.providers.webhook_contract import NEW, OLD, WebhookContract, digest


class TestGitWebhook(WebhookContract):
    provider_class = Git
    push_headers = {"x-ftp-deploy-delivery": "id-7"}

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "user_name": "builder",
            "user_email": "builder@example.com",
        }

    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        return {"x-ftp-deploy-signature": f"sha256={digest(secret, body)}"}

    def test_before_may_be_left_out(self) -> None:
        (push,) = self.parse({"ref": "refs/heads/main", "after": NEW}).pushes
        assert push.before == ""
        assert self.parse({"ref": "refs/heads/main", "after": NEW}).delivery_id == "id-7"


class TestGitAccess:
    @pytest.mark.parametrize(
        ("repository", "url"),
        [
            ("https://git.example.com/o/r.git", "https://git.example.com/o/r.git"),
            ("ssh://deploy@git.example.com:2222/srv/r.git", "ssh://deploy@git.example.com:2222/srv/r.git"),
            ("deploy@git.example.com:srv/r.git", "deploy@git.example.com:srv/r.git"),
        ],
    )
    def test_urls(self, repository: str, url: str) -> None:
        assert Git(Account()).git_access(repository).url == url

    @pytest.mark.parametrize(
        "repository",
        ["", "o/r", "file:///etc", "ext::sh -c x", "/srv/r.git", "https://", "https://u:p@h/r", "https://u@h/r",
         "ssh://u:p@h/r", "https://h:x/r", "--upload-pack=x", "u@h:-x", "https://[/r", "https://h"],
    )  # fmt: skip
    def test_what_is_no_git_url_is_refused(self, repository: str) -> None:
        with pytest.raises(ConfigurationError):
            Git(Account()).git_access(repository)

    def test_the_login_is_beside_the_url(self) -> None:
        account = Account("builder", "canary", "https://git.example.com", private_key="canary", passphrase="canary")
        access = Git(account).git_access("https://git.example.com/r.git")
        assert (access.username, access.password, access.private_key) == ("builder", "canary", "")
        for url in ("ssh://deploy@git.example.com/r.git", "deploy@git.example.com:r.git"):
            access = Git(account).git_access(url)
            assert (access.password, access.private_key, access.passphrase) == ("canary",) * 3
            assert "canary" not in repr(access) + repr(account)

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example.com/r.git", "https://git.example.com.evil.example.com/r.git",
            "https://git.example.com:444/r.git", "http://git.example.com/r.git", "ssh://git@evil.example.com/r.git",
            "git@evil.example.com:r.git", "https://evil.example.com/@git.example.com/r.git",
        ],
    )  # fmt: skip
    def test_a_login_is_for_its_own_server(self, url: str) -> None:
        for secret in ({"password": "canary"}, {"private_key": "canary"}):
            with pytest.raises(ConfigurationError, match="another server"):
                Git(Account("builder", url="https://git.example.com", **secret)).git_access(url)
            with pytest.raises(ConfigurationError, match="for which server"):
                Git(Account("builder", **secret)).git_access(url)
        assert Git(Account("builder", url="https://git.example.com")).git_access(url).password == ""

    def test_the_port_of_an_ssh_address_counts(self) -> None:
        account = Account("builder", "canary", "ssh://git.example.com:2222")
        assert Git(account).git_access("ssh://git@git.example.com:2222/r.git").password == "canary"
        for url in ("ssh://git@git.example.com/r.git", "git@git.example.com:r.git", "ssh://git@git.example.com:23/r"):
            with pytest.raises(ConfigurationError, match="another server"):
                Git(account).git_access(url)
        usual = Account("builder", "canary", "ssh://git.example.com")
        for url in ("ssh://git@git.example.com:22/r.git", "git@git.example.com:r.git"):
            assert Git(usual).git_access(url).password == "canary"

    def test_hooks_are_made_by_hand(self) -> None:
        with pytest.raises(ApiError, match="no API"):
            Git(Account()).add_hook("https://h/r", "https://x", "s")
