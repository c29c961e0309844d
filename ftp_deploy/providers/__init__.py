"""The forges. A new one is one module and one line in ``REGISTRY``, or in the ``FTP_DEPLOY_PROVIDERS`` setting."""

from collections.abc import Mapping
from importlib import import_module

from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.providers.base import Account, Provider

REGISTRY: dict[str, tuple[str, str]] = {
    "github": ("GitHub", "ftp_deploy.providers.github.GitHub"),
    "bitbucket": ("Bitbucket", "ftp_deploy.providers.bitbucket.Bitbucket"),
    "gitlab": ("GitLab", "ftp_deploy.providers.gitlab.GitLab"),
    "gitea": ("Gitea / Forgejo", "ftp_deploy.providers.gitea.Gitea"),
    "git": ("Git", "ftp_deploy.providers.git.Git"),
}
"""Name: label, dotted path. The module is imported when it is first used."""


def provider_class(name: str, further: Mapping[str, str] | None = None) -> type[Provider]:
    """Return the class of a forge by its short name; ``further`` adds to or overrides the registry."""
    path = (further or {}).get(name) or REGISTRY.get(name, ("", ""))[1]
    if not path:
        raise ConfigurationError(f"There is no forge named {name!r}.")
    module, _, class_name = path.rpartition(".")
    found: type[Provider] = getattr(import_module(module), class_name)
    return found


def has_api(name: str, further: Mapping[str, str] | None = None) -> bool:
    """Whether a forge can be asked for hooks and told of commits; False where there is none of that name."""
    try:
        return provider_class(name, further).has_api
    except (ConfigurationError, ImportError, AttributeError):
        return False


def open_provider(name: str, account: Account, further: Mapping[str, str] | None = None) -> Provider:
    """Return the provider ``name`` for ``account``."""
    return provider_class(name, further)(account)
