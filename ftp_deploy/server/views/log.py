"""The log of everything: deploys, and in a second tab what people did."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from ftp_deploy.access import services_for
from ftp_deploy.models import AuditEntry, Deploy
from ftp_deploy.server import live, overview
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.live import Live
from ftp_deploy.server.views.manage import LISTED

PER_PAGE = 25
CSV_ROWS = 100_000
SEARCHED = 1000
"""Words of commits are looked for in this many of the latest deploys that match the other filters."""
USERS_FROM = 500
"""The names offered for the user filter come from this many latest deploys."""


def number(text: str) -> int | None:
    """Return a row number that a URL names, None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def day(text: str, days: int = 0) -> datetime | None:
    """Return the beginning of a day in the viewer's zone, ``days`` later; None for anything that is no date."""
    try:
        found = parse_date(text)
    except ValueError:
        return None
    if not found or not 1971 < found.year < 9990:
        return None
    return timezone.make_aware(datetime.combine(found + timedelta(days=days), time.min))


class Entries(Page, TemplateView):
    """A filtered list, newest first, paged by row number: as fast on the last page as on the first."""

    template_name = "ftp_deploy/server/log.html"
    entries_template = ""
    audit = False
    time_field = ""

    def get_template_names(self) -> list[str]:
        """Send the list alone where only a filter changed."""
        if self.is_partial:
            return [self.entries_template]
        return [self.template_name]

    @property
    def is_partial(self) -> bool:
        """Whether the list alone was asked for."""
        return self.request.headers.get("HX-Target") == "entries"

    def filters(self) -> dict[str, str]:
        """Return what the person asked for, without NUL, which PostgreSQL refuses in any text."""
        return {
            name: self.request.GET.get(name, "").replace("\0", "").strip()
            for name in ("service", "text", "user", "since", "until", "fails")
        }

    def rows(self) -> QuerySet[Any]:
        """Return all rows that the person may see."""
        raise NotImplementedError

    def found(self) -> QuerySet[Any]:
        """Return the rows that match the filters."""
        rows = self.narrowed()
        text = self.filters()["text"]
        return self.matching(rows, text) if text else rows

    def matching(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Return the rows of the services that a text names."""
        return rows.filter(service__in=overview.named(services_for(self.request.user), text))

    def narrowed(self) -> QuerySet[Any]:
        """Return the rows that match the other filters."""
        filters, rows = self.filters(), self.rows()
        service, since, until = number(filters["service"]), day(filters["since"]), day(filters["until"], 1)
        if service:
            rows = rows.filter(service=service)
        if filters["user"]:
            rows = rows.filter(user_name=filters["user"])
        if since:
            rows = rows.filter(**{f"{self.time_field}__gte": since})
        if until:
            rows = rows.filter(**{f"{self.time_field}__lt": until})
        return rows

    def page(self) -> tuple[list[Any], int | None, int | None]:
        """Return one page, and the row numbers where newer and older ones begin."""
        before, after = (number(self.request.GET.get(name, "")) for name in ("before", "after"))
        rows = self.found()
        if after:
            listed = list(rows.filter(pk__gt=after).order_by("pk")[: PER_PAGE + 1])
            more = len(listed) > PER_PAGE
            listed = listed[:PER_PAGE][::-1]
            return listed, listed[0].pk if more else None, listed[-1].pk if listed else None
        if before:
            rows = rows.filter(pk__lt=before)
        listed = list(rows.order_by("-pk")[: PER_PAGE + 1])
        more = len(listed) > PER_PAGE
        listed = listed[:PER_PAGE]
        return listed, listed[0].pk if before and listed else None, listed[-1].pk if more else None

    def known_users(self) -> list[str]:
        """Return the names that the user filter offers."""
        latest = self.rows().order_by("-pk").values_list("user_name", flat=True)[:USERS_FROM]
        return sorted({name for name in latest if name})[:100]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return one page of entries with the filters' choices."""
        entries, newer, older = self.page()
        filters = self.filters()
        return super().get_context_data(
            entries=entries,
            newer=newer,
            older=older,
            filters=filters,
            filtered=any(filters.values()),
            entries_template=self.entries_template,
            audit=self.audit,
            searched=SEARCHED,
            partial=self.is_partial,
            chosen_service=services_for(self.request.user).filter(pk=number(filters["service"]) or 0).first(),
            known_users=self.known_users(),
            **kwargs,
        )


def mentions(words: list[str], after: str, commit: str, commits: list[dict[str, str]]) -> bool:
    """Whether each word is in a commit's message or author, or begins its hash. Words are folded."""
    hashes = [after, commit, *(str(one.get("id", "")) for one in commits)]
    told = " ".join(f"{one.get('message', '')} {one.get('author_name', '')}" for one in commits).casefold()
    return all(word in told or (len(word) > 3 and any(one.startswith(word) for one in hashes)) for word in words)


class Log(Entries):
    """All deploys."""

    entries_template = "ftp_deploy/server/parts/log_entries.html"
    time_field = "created_at"

    def rows(self) -> QuerySet[Any]:
        """Return the deploys of the services that the person sees."""
        return (
            Deploy.objects.filter(service__in=services_for(self.request.user))
            .select_related("service")
            .only(*LISTED, "service__repository_name")
        )

    def matching(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Return the deploys that a text means: a number, a service, or words of the commits.

        Commits are searched in the latest ``SEARCHED`` deploys that match the other filters.
        """
        words = text.casefold().split()
        latest = rows.order_by("-pk").values_list("pk", "after", "commit", "commits")[:SEARCHED]
        meant = [number(text.removeprefix("#")) or 0, *(pk for pk, *kept in latest if mentions(words, *kept))]
        services = list(overview.named(services_for(self.request.user), text).order_by().values_list("pk", flat=True))
        if not services:  # most rows are then passed over by their key alone
            return rows.filter(pk__in=meant)
        return rows.filter(Q(service__in=services) | Q(pk__in=meant))

    def narrowed(self) -> QuerySet[Any]:
        """Add "fails only"."""
        rows = super().narrowed()
        return rows.filter(state=Deploy.State.FAILED) if self.filters()["fails"] else rows

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what the page's script asks for, and the version that is shown."""
        context = super().get_context_data(**kwargs)
        words = self.filters()["text"].casefold().split()
        for deploy in context["entries"] if words else ():
            meant = [one for one in deploy.commits if mentions(words, "", "", [one])]
            deploy.searched_commit = meant[-1] if meant else None
        ids = [deploy.pk for deploy in context["entries"]]
        return {**context, "ids": ",".join(map(str, ids)), "version": fingerprint(self.rows(), ids)}


def fingerprint(deploys: QuerySet[Deploy], ids: list[int]) -> str:
    """Return the version of a list that shows these deploys: what became of them, and whether there are newer ones."""
    newest = deploys.order_by("-pk").values_list("pk", flat=True).first()
    return live.version(newest, list(deploys.filter(pk__in=ids).order_by("pk").values_list("pk", "state")))


class LogLive(Live):
    """What moved in the log: the version of the list whose rows ``ids`` names."""

    shared = False

    def news(self) -> tuple[dict[str, Any], bool]:
        """Return it, counting only what the person sees."""
        asked = [number(pk) for pk in self.request.GET.get("ids", "").split(",")[:PER_PAGE]]
        ids = [pk for pk in asked if pk is not None]
        mine = Deploy.objects.filter(service__in=services_for(self.request.user))
        return {"version": fingerprint(mine, ids)}, mine.unfinished().filter(pk__in=ids).exists()


class Audit(Entries):
    """What people did."""

    permission_required = "ftp_deploy.view_auditentry"
    entries_template = "ftp_deploy/server/parts/audit_entries.html"
    audit = True
    time_field = "at"

    def rows(self) -> QuerySet[Any]:
        """Return what was done to the services that the person sees, and what concerns no service."""
        seen = services_for(self.request.user).order_by().values("pk")
        return AuditEntry.objects.filter(Q(service=None) | Q(service__in=seen))


class Echo:
    """A file that gives back what is written: the csv writer's target for streaming."""

    def write(self, value: str) -> str:
        """Return the line."""
        return value


def guarded(value: object) -> str:
    """Return a cell's text, so that a spreadsheet never takes it for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def csv_lines(deploys: Iterable[Deploy]) -> Iterator[str]:
    """Yield the CSV of the given deploys."""
    writer = csv.writer(Echo())
    heads = [_("Deploy"), _("Service"), _("Branch"), _("Kind"), _("Date"), _("User"), _("Commits"), _("Commit")]
    yield writer.writerow([*heads, _("Status"), _("Seconds"), _("New"), _("Modified"), _("Removed"), _("Error")])
    for deploy in deploys:
        took = deploy.duration
        row = [
            deploy.pk,
            deploy.service.repository_name,
            deploy.branch,
            deploy.kind,
            deploy.created_at.isoformat(),
            deploy.user_name,
            len(deploy.commits),
            deploy.commit or deploy.after,
            deploy.state,
            f"{took.total_seconds():.1f}" if took else "",
            deploy.files_added,
            deploy.files_modified,
            deploy.files_removed,
            deploy.error,
        ]
        yield writer.writerow([guarded(value) for value in row])


class LogCSV(Log):
    """The filtered log as CSV, newest first, streamed."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Stream at most 100,000 rows."""
        deploys = self.found().order_by("-pk")[:CSV_ROWS].iterator(chunk_size=1000)
        response = StreamingHttpResponse(csv_lines(deploys), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = 'attachment; filename="deploys.csv"'
        return response
