import pytest

from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.repository.base import GitSource, ssh_address


def test_a_login_in_the_url_moves_out_of_it():
    source = GitSource("https://user%40x:to%2Fken@forge.example:8443/owner/name.git?a=b").cleaned()
    assert source.url == "https://forge.example:8443/owner/name.git"
    assert (source.username, source.password) == ("user@x", "to/ken")


def test_a_login_of_its_own_wins():
    source = GitSource("https://a:b@forge.example/x", username="c", password="d").cleaned()
    assert (source.username, source.password) == ("c", "d")


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "file:///etc", "/etc", "https://", "https://[::1", "http://host:99999/x", "-oProxy"]
)
def test_other_urls_are_refused(url):
    with pytest.raises(ConfigurationError):
        GitSource(url).cleaned()


@pytest.mark.parametrize("url", ["git@forge.example:owner/name.git", "ssh://git@forge.example:2222/owner/name.git"])
def test_ssh_urls_are_kept(url):
    source = GitSource(url).cleaned()
    assert source.is_ssh
    assert source.url == url


def test_an_ipv6_host_keeps_its_brackets():
    assert GitSource("http://u:p@[::1]:81/x").cleaned().url == "http://[::1]:81/x"


def test_secrets_are_not_shown():
    source = GitSource("https://user:hidden@forge.example/x?key=hidden", password="hidden", private_key="hidden")
    assert "hidden" not in source.shown_url
    assert "hidden" not in repr(source.cleaned())


def test_an_ssh_address_that_cannot_be_read():
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ssh_address("ssh://git@host:none/site.git")
