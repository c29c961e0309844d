"""What the service form asks while it is filled in: repositories, branches, a connection, folders, excludes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from ftp_deploy.access import services_for
from ftp_deploy.conf import conf
from ftp_deploy.deploys.excludes import excluder
from ftp_deploy.exceptions import ConfigurationError, FTPDeployError
from ftp_deploy.models import Account, Service
from ftp_deploy.models.account import settings_login
from ftp_deploy.providers import open_provider
from ftp_deploy.providers.base import Provider
from ftp_deploy.server import connection
from ftp_deploy.server.live import version
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.log import number

TREE_SECONDS = 600
FETCH_SECONDS = 60.0
"""A person waits for the list of files, and a thread of the web server with them: no longer than that."""
MATCHES_SHOWN = 200


class FormTool(Page):
    """Open to those who may add or change services."""

    permission_required = None

    def check_permissions(self, request: HttpRequest) -> bool:
        """Either permission is enough."""
        return request.user.has_perm("ftp_deploy.add_service") or request.user.has_perm("ftp_deploy.change_service")


def forge_of(values: Mapping[str, str]) -> Provider:
    """Return the forge that a form's source and account name. Raises ``ConfigurationError``."""
    name, account = values.get("provider", ""), values.get("account", "")
    if pk := number(account):
        stored = get_object_or_404(Account, pk=pk, provider=name)
        return open_provider(name, stored.as_login(), conf.PROVIDERS)
    return open_provider(name, settings_login(name), conf.PROVIDERS)


def failure(error: FTPDeployError) -> dict[str, str]:
    """Return an error for the form's script."""
    return {"error": error.message, "advice": error.advice}


class Repositories(FormTool):
    """The repositories of an account."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the list, or with what the forge said instead."""
        try:
            forge = forge_of(request.GET)
            if not forge.has_api:
                return JsonResponse({"api": False})
            found = [
                {"slug": one.full_name, "name": one.name, "branch": one.default_branch} for one in forge.repositories()
            ]
        except FTPDeployError as error:
            return JsonResponse(failure(error))
        said = ngettext(
            "%(number)s repository in this account.", "%(number)s repositories in this account.", len(found)
        )
        return JsonResponse({"api": True, "repositories": found, "said": said % {"number": len(found)}})


class Branches(FormTool):
    """The branches of a repository."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the list, or with what the forge said instead."""
        try:
            forge = forge_of(request.GET)
            found = list(forge.branches(request.GET.get("repository", ""))) if forge.has_api else []
        except FTPDeployError as error:
            return JsonResponse(failure(error))
        return JsonResponse({"branches": found})


def stored_service(request: HttpRequest) -> Service | None:
    """Return the service that is being edited, None for a new one."""
    pk = number(request.POST.get("service", ""))
    if not pk or not request.user.has_perm("ftp_deploy.change_service"):
        return None
    return services_for(request.user).filter(pk=pk).first()


@method_decorator(sensitive_post_parameters(), name="dispatch")
class TestConnection(FormTool):
    """Try the server that the form describes."""

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer with what happened, in words, and a fingerprint to accept."""
        values = request.POST.dict()
        trial = connection.try_server(connection.target_of(values, stored_service(request)))
        offered = trial.fingerprint if trial.fingerprint != values.get("fingerprint", "").strip() else ""
        context = {"trial": trial, "offered": offered, "host": values.get("host", "")}
        return render(request, "ftp_deploy/server/parts/connection_result.html", context)


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Folders(FormTool):
    """The folders of the server, for choosing a path."""

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer with the folders below the form's path."""
        values = request.POST.dict()
        path = values.get("browse") or values.get("path") or "/"
        values["path"] = path
        context: dict[str, Any] = {"path": path, "parent": path.rstrip("/").rpartition("/")[0] or "/"}
        try:
            names = connection.folders_in(connection.target_of(values, stored_service(request)))
            context["folders"] = [(name, f"{path.rstrip('/')}/{name}") for name in names]
        except FTPDeployError as error:
            context["error"] = error
        return render(request, "ftp_deploy/server/parts/folders.html", context)


def branch_files(values: Mapping[str, str]) -> list[str]:
    """Return the paths of all files of the form's branch; kept for ten minutes."""
    from ftp_deploy.deploys.source import source_of
    from ftp_deploy.repository import git

    forge = forge_of(values)
    slug, branch = values.get("repository_slug", ""), values.get("branch", "")
    if not slug or not branch:
        raise ConfigurationError(_("Choose the repository and the branch first."))
    key = "ftpdeploy:tree:" + version(forge.name, forge.account.username, forge.account.url, slug, branch)
    paths: list[str] | None = cache.get(key)
    if paths is None:
        source = source_of(
            forge,
            slug,
            has_account=bool(values.get("account")),
            fingerprint=values.get("repository_fingerprint", "").strip(),
        )
        source = replace(source, reply_timeout=min(conf.REPLY_TIMEOUT, 20.0), total_timeout=FETCH_SECONDS)
        with git.fetch(source, branch) as snapshot:
            paths = [entry.path.decode(errors="replace") for entry in snapshot.tree]
        cache.set(key, paths, TREE_SECONDS)
    return paths


class ExcludePreview(FormTool):
    """Which files of the branch the exclude patterns match."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer with the number of matches and the first of them."""
        values = request.POST.dict()
        context: dict[str, Any] = {}
        try:
            excluded = excluder(values.get("excludes", ""))
            inside = values.get("subdirectory", "").strip("/ ")
            prefix = f"{inside}/" if inside else ""
            files = [path.removeprefix(prefix) for path in branch_files(values) if path.startswith(prefix)]
            left_out = [path for path in files if excluded(path)]
            context.update(total=len(files), number=len(left_out), files=left_out[:MATCHES_SHOWN])
        except FTPDeployError as error:
            context["error"] = error
        return render(request, "ftp_deploy/server/parts/exclude_result.html", context)
