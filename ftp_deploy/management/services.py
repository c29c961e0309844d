"""Finding the service and the commit that a command line names."""

from django.core.management.base import CommandError

from ftp_deploy.models import Service

WRONG_USE = 2
"""Exit status where the command line is wrong; 1 says that what was asked for failed."""
SHORTEST_COMMIT = 6


def find_service(name: str) -> Service:
    """Return the service with this primary key, repository slug or name; ``slug:branch`` chooses among several.

    Raises ``CommandError`` where there is none, or more than one.
    """
    by_key = list(Service.objects.filter(pk=int(name))) if name.isdecimal() else []
    found = by_key or _by_words(name)
    if len(found) == 1:
        return found[0]
    if found:
        choice = ", ".join(f"{service.pk} ({service}, {service.host})" for service in found[:20])
        raise CommandError(f"More than one service is called {name!r}. Give its number: {choice}", returncode=WRONG_USE)
    known = ", ".join(f"{service.pk} ({service})" for service in Service.objects.all()[:20]) or "none"
    raise CommandError(f"There is no service {name!r}. Known services: {known}", returncode=WRONG_USE)


def _by_words(name: str) -> list[Service]:
    slug, separator, branch = name.rpartition(":")
    for field in ("repository_slug", "repository_name"):
        found = list(Service.objects.filter(**{f"{field}__iexact": name}))
        if not found and separator:
            found = list(Service.objects.filter(**{f"{field}__iexact": slug, "branch": branch}))
        if found:
            return found
    return []


def find_services(names: list[str]) -> list[Service]:
    """Return the named services; without names all enabled ones."""
    return [find_service(name) for name in names] if names else list(Service.objects.filter(enabled=True))


def find_commit(service: Service, text: str) -> str:
    """Return the full id of a commit of which the first letters are given.

    Known are the commits of the service's deploys; any other needs all of its letters. Raises ``CommandError``.
    """
    wanted = text.lower()
    if len(wanted) < SHORTEST_COMMIT or not set(wanted) <= set("0123456789abcdef"):
        raise CommandError(f"{text!r} is not the beginning of a commit id.", returncode=WRONG_USE)
    known = {
        commit
        for pair in service.deploys.order_by("-pk").values_list("commit", "after")[:1000]
        for commit in pair
        if commit.startswith(wanted)
    }
    if len(known) == 1:
        return known.pop()
    if len(known) > 1:
        raise CommandError(f"{text!r} is the beginning of several commits; give more letters.", returncode=WRONG_USE)
    if len(wanted) in (40, 64):
        return wanted
    raise CommandError(f"No deploy of {service} knows a commit {text!r}; give its full id.", returncode=WRONG_USE)
