"""Every call of every provider against the forge's own description of its API.

The mock server answers 401 without credentials and 422 for a request that the description does not allow, so that a
call which returns was a well-formed one. Its answers are the description's examples.
"""

from collections.abc import Callable, Iterator

import pytest

from ftp_deploy.exceptions import ApiError
from ftp_deploy.providers.base import Account, CommitState, Provider
from ftp_deploy.providers.bitbucket import Bitbucket
from ftp_deploy.providers.cache import conditional_answers
from ftp_deploy.providers.gitea import Gitea
from ftp_deploy.providers.github import GitHub
from tests.providers.samples import SPECS
from tests.servers.prism import Prism

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("prism")]

REPOSITORY = "octocat/hello-world"
OLD, NEW = "a" * 40, "b" * 40
URL = "https://deploy.example.com/deploy/key"
Call = Callable[[Provider], object]

READS: dict[str, Call] = {
    "repositories": lambda forge: forge.repositories(),
    "repository": lambda forge: forge.repository(REPOSITORY),
    "branches": lambda forge: forge.branches(REPOSITORY),
    "hooks": lambda forge: forge.hooks(REPOSITORY),
    "commits": lambda forge: forge.commits(REPOSITORY, OLD, NEW),
    "commits of a new branch": lambda forge: forge.commits(REPOSITORY, "", NEW),
    "user_email": lambda forge: forge.user_email(),
}
WRITES: dict[str, Call] = {
    "add_hook": lambda forge: forge.add_hook(REPOSITORY, URL, "s" * 30),
    "update_hook": lambda forge: forge.update_hook(REPOSITORY, "12345678", URL, "s" * 30),
    "remove_hook": lambda forge: forge.remove_hook(REPOSITORY, "12345678"),
    "set_status": lambda forge: forge.set_status(REPOSITORY, NEW, CommitState.SUCCESS, URL, "live"),
}
CALLS = READS | WRITES


@pytest.fixture(scope="class")
def prism(request: pytest.FixtureRequest) -> Iterator[Prism]:
    """The mock server of the class's description, shared by its tests: it takes seconds to start."""
    path = SPECS / request.cls.description
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with Prism(path, request.cls.base_path) as prism:
        yield prism


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    conditional_answers.clear()
    yield
    conditional_answers.clear()


class DescriptionContract:
    """A provider's class names its description, where its API is mounted, and what the description leaves out."""

    provider_class: type[Provider]
    description: str
    base_path: str
    account: Account
    left_out: frozenset[str] = frozenset()
    without_credentials: frozenset[str] = frozenset()
    """Calls that need no login."""

    def provider(self, prism: Prism, account: Account | None = None) -> Provider:
        account = account or self.account
        return self.provider_class(Account(account.username, account.password, prism.url, allow_private_addresses=True))

    @pytest.mark.parametrize("name", CALLS)
    def test_the_call_is_as_described(self, prism: Prism, name: str) -> None:
        if name in self.left_out:
            pytest.skip("the description does not have this call")
        CALLS[name](self.provider(prism))

    @pytest.mark.parametrize("name", CALLS)
    def test_without_credentials_it_is_refused(self, prism: Prism, name: str) -> None:
        if name in self.left_out | self.without_credentials:
            pytest.skip("the description does not ask for credentials here")
        with pytest.raises(ApiError) as caught:
            CALLS[name](self.provider(prism, Account("builder")))
        assert caught.value.status == 401
        assert "token" in caught.value.advice

    def test_what_is_read_is_filled_in(self, prism: Prism) -> None:
        provider = self.provider(prism)
        repositories = provider.repositories()
        assert repositories
        assert all(found.full_name for found in repositories)
        assert all(hook.id for hook in provider.hooks(REPOSITORY))
        assert provider.repository(REPOSITORY).full_name


ANONYMOUS_GITHUB = frozenset(CALLS)
"""GitHub's description says nothing of credentials; a refused login is tested with a written-down answer."""


class TestGitHub(DescriptionContract):
    provider_class = GitHub
    description = "github-cut.json"
    base_path = "/api/v3"
    account = Account("builder", "token")
    without_credentials = ANONYMOUS_GITHUB

    def test_an_app_lists_its_installation(self, prism: Prism) -> None:
        assert self.provider(prism, Account("", "ghs_token")).repositories()

    def test_the_published_addresses(self, prism: Prism) -> None:
        assert self.provider(prism).published_addresses()


class TestGitHubEnterpriseServer(DescriptionContract):
    provider_class = GitHub
    description = "ghes-3.19-cut.json"
    base_path = "/api/v3"
    account = Account("builder", "token")
    without_credentials = ANONYMOUS_GITHUB


class TestBitbucketUser(DescriptionContract):
    provider_class = Bitbucket
    description = "bitbucket-cut.json"
    base_path = "/2.0"
    account = Account("builder@example.com", "token")
    left_out = frozenset({"set_status", "user_email"})
    """The description has no build statuses, and does not say what /user/emails answers."""


class TestBitbucketAccessToken(TestBitbucketUser):
    account = Account("octocat", "token")


class TestGitea(DescriptionContract):
    provider_class = Gitea
    description = "gitea-fork-v1.swagger.json"
    base_path = "/api/v1"
    account = Account("builder", "token")
