"""What the pages' pollers ask: cheap enough for a hundred browsers that watch one deploy.

Who was let in is remembered for a minute, and an answer for one second, so most questions touch no database.
"""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.translation import get_language

from ftp_deploy.server import live
from ftp_deploy.server.views.base import Page, protect


@method_decorator(login_not_required, name="dispatch")
class Live(Page):
    """Answers for one page. ``shared`` says that everybody who may ask is told the same."""

    shared = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer those who were let in lately at once; look at the others."""
        ticket = live.ticket_of(request)
        if ticket and request.method == "GET" and cache.get(ticket):
            self.setup(request, *args, **kwargs)
            response: HttpResponseBase = self.reply(ticket)
            protect(response)
            return response
        response = super().dispatch(request, *args, **kwargs)
        if ticket and response.status_code in (200, 304):
            cache.set(ticket, True, live.TRUSTED)
        return response

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Answer a person whose permission was checked, for what they may see."""
        self.check_sight()
        return self.reply(live.ticket_of(request))

    def reply(self, ticket: str) -> HttpResponse:
        """Answer from what was found out within the last second, or find it out."""
        place = live.key_of(self.request.get_full_path(), get_language(), "" if self.shared else ticket)
        found = cache.get(place)
        if found is None:
            content, busy = self.news()
            found = live.encoded(content, busy=busy)
            cache.set(place, found, live.KEPT)
        return live.answer(self.request, *found)

    def check_sight(self) -> None:
        """Raise ``Http404`` where the person may not see what the address names."""

    def news(self) -> tuple[dict[str, Any], bool]:
        """Return what the page shows now, and whether something runs."""
        raise NotImplementedError
