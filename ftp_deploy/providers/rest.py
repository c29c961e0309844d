"""What the providers with a REST API share: names inside addresses, the order of commits, git over https."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.providers.base import Account, Commit, Provider, Repository
from ftp_deploy.providers.http import Client

FULL_NAME = re.compile(r"[^\s/]+(?:/[^\s/]+)+\Z")
COMMIT_LIMIT = 1000
"""Commits of one push that are asked for, beyond what the webhook told."""
STATUS_CONTEXT = "ftp-deploy"
"""The name under which a forge shows our commit status."""


class RestProvider(Provider):
    """A forge with a REST API and with pages for people at ``web_url``."""

    def __init__(self, account: Account) -> None:
        super().__init__(replace(account, url=account.url.strip().rstrip("/"), password=account.password.strip()))

    def open_client(
        self, base_url: str, credentials: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Client:
        """Return a client for the forge's API that keeps to the account's address policy."""
        allowed = self.account.allow_private_addresses
        return Client(self.label, base_url, credentials, headers, allow_private=allowed)

    @property
    def web_url(self) -> str:
        """The address of the forge's pages."""
        return self.account.url or self.public_url

    def repository_page(self, repository: str) -> str:
        """Return the address of a repository's page."""
        return f"{self.web_url}/{path_of(repository)}"


def path_of(repository: str) -> str:
    """Return ``owner/name`` for use inside an address.

    Raises ``ConfigurationError`` for anything that would lead to another place than a repository.
    """
    name = repository.strip().strip("/").removesuffix(".git")
    if not FULL_NAME.match(name) or any(part in {".", ".."} for part in name.split("/")):
        raise ConfigurationError(
            f"{repository!r} is not the full name of a repository.", advice="Enter it as owner/name."
        )
    return quote(name, safe="/")


def hook_path(repository: str, hook_id: str) -> str:
    """Return the path of a hook in the API of GitHub, which Gitea follows."""
    return f"repos/{path_of(repository)}/hooks/{quote(hook_id, safe='')}"


def read_repository(item: Any) -> Repository:
    """Read one repository as GitHub's API describes it, and Gitea's after it."""
    return Repository(
        full_name=str(item.get("full_name", "")),
        name=str(item.get("name", "")),
        default_branch=item.get("default_branch") or "",
        private=bool(item.get("private", True)),
        clone_url=item.get("clone_url") or "",
    )


def is_host(url: str, *hosts: str) -> bool:
    """Whether a web address is on one of these hosts."""
    return (urlsplit(url).hostname or "") in hosts


def oldest_first(commits: Iterable[Commit], after: str) -> Sequence[Commit]:
    """Return commits so that the pushed one, ``after``, comes last."""
    found = list(commits)
    return found[::-1] if found and found[0].id == after else found
