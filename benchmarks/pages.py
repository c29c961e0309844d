"""``python -m benchmarks pages``: the dashboard's pages over a large database, served by the stand-alone server."""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
import zoneinfo
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pages_site import ADDRESSES, QUERIES, ROOT, SESSIONS, Site
from benchmarks.pages_table import page as written
from benchmarks.pages_watchers import Watched, watch

WARM = 3


@dataclass(slots=True)
class Measured:
    """What was found out about one page. Milliseconds, kB of HTML before compression, kB of everything as sent."""

    name: str
    path: str
    queries: int = 0
    times: list[float] = field(default_factory=list)
    html: float = 0.0
    weight: float | None = None

    @property
    def median(self) -> float:
        """Return the median answer in ms."""
        return statistics.median(self.times)

    @property
    def tail(self) -> float:
        """Return the 95th percentile in ms."""
        return statistics.quantiles(self.times, n=20)[18]


@contextmanager
def database(given: str) -> Iterator[str]:
    """Yield the database that was given, or a throwaway PostgreSQL's."""
    if given:
        yield given
        return
    from tests.servers.postgresql import PostgreSQL

    with PostgreSQL() as server:
        yield server.new_database()


def prepared(site: Site, services: int, deploys: int) -> None:
    """Bring the database up to this version; fill it unless it holds the wanted number of deploys."""
    site.run("-m", "ftp_deploy.standalone", "migrate")
    found = site_size(site)
    if found and found < deploys:
        raise SystemExit(f"The database holds {found} deploys already: give an empty one, or one that is filled.")
    if not found:
        began = time.monotonic()
        site.run("-m", "benchmarks.pages_data", str(services), str(deploys))
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)


def site_size(site: Site) -> int:
    """Return how many deploys there are."""
    code = "import django\ndjango.setup()\nfrom ftp_deploy.models import Deploy\nprint(Deploy.objects.count())"
    return int(site.run("-c", code).split()[-1])


def time_pages(site: Site, pages: list[Measured], session: str, turns: int) -> None:
    """Ask for each page over one kept-alive connection, each time from another time zone: kept figures do not count."""
    zones = sorted(zoneinfo.available_timezones())
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
    for measured in pages:
        for turn in range(WARM + turns):
            mark = "&" if "?" in measured.path else "?"
            began = time.perf_counter()
            cookies = f"sessionid={session}; ftpdeploy_zone={zones[turn]}"
            line.request("GET", f"{measured.path}{mark}_={turn}", headers={"Cookie": cookies})
            answer = line.getresponse()
            body = answer.read()
            taken = (time.perf_counter() - began) * 1000
            if turn >= WARM:
                measured.times.append(taken)
            measured.html = len(body) / 1000
    line.close()


def weigh(site: Site, pages: list[Measured], session: str) -> None:
    """Load each page in Chromium with an empty cache; add up what came over the line."""
    from tests.server.browser import chromium

    with chromium() as browser:
        for measured in pages:
            context = browser.new_context()
            if measured.name != "login":
                address = f"http://127.0.0.1:{site.port}"
                context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
            page = context.new_page()
            line = context.new_cdp_session(page)
            line.send("Network.enable")
            sizes: list[float] = []
            line.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
            page.goto(f"http://127.0.0.1:{site.port}{measured.path}", wait_until="load")
            page.wait_for_timeout(300)
            measured.weight = sum(sizes) / 1000
            context.close()


def report(pages: list[Measured]) -> None:
    """Print the table."""
    print(f"{'page':44}{'queries':>8}{'median ms':>11}{'p95':>8}{'HTML kB':>9}{'weight kB':>11}")
    for one in pages:
        weight = "" if one.weight is None else f"{one.weight:.0f}"
        print(f"{one.name:44}{one.queries:8}{one.median:11.1f}{one.tail:8.1f}{one.html:9.1f}{weight:>11}", flush=True)


def measure(given: argparse.Namespace) -> tuple[list[Measured], Watched | None]:
    """Do everything that was asked for."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pages-")))
        site = stack.enter_context(Site(stack.enter_context(database(given.database)), folder))
        prepared(site, given.services, given.deploys)
        paths: dict[str, str] = site.ask(ADDRESSES)  # type: ignore[assignment]
        if given.only:
            paths = {name: path for name, path in paths.items() if given.only in name}
        queries: dict[str, int] = site.ask(QUERIES, json.dumps(paths))  # type: ignore[assignment]
        sessions: list[str] = site.ask(SESSIONS, str(given.watchers or 1))  # type: ignore[assignment]
        site.start()
        pages = [Measured(name, path, queries[name]) for name, path in paths.items()]
        time_pages(site, pages, sessions[0], given.turns)
        if given.weigh:
            weigh(site, pages, sessions[0])
        report(pages)
        if not given.watchers:
            return pages, None
        assert site.process is not None
        seen = watch(site.port, site.process.pid, paths_of_live(site), sessions, given.seconds, site.environment)
        print(seen.sentence())
        return pages, seen


def paths_of_live(site: Site) -> str:
    """Return the address that the page of the running deploy polls."""
    code = (
        "from django.urls import reverse\n"
        "answer = reverse('ftpdeploy_deploy_live', args=[Deploy.objects.get(state='running').pk])"
    )
    return str(site.ask(code))


def main() -> None:
    """Measure, print, and write the page where an output is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pages", description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--deploys", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="a PostgreSQL database, empty or filled by an earlier run")
    parser.add_argument("--turns", type=int, default=20, help="measured requests for each page")
    parser.add_argument("--only", default="", help="only pages with this in their name")
    parser.add_argument("--no-weight", dest="weigh", action="store_false", help="leave Chromium out")
    parser.add_argument("--watchers", type=int, default=100, help="browsers that watch one running deploy; 0: none")
    parser.add_argument("--seconds", type=float, default=30.0, help="for how long they watch")
    parser.add_argument("--output", default="", help="write the results as a page of the documentation")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    pages, seen = measure(given)
    if given.output:
        Path(given.output).write_text(written(pages, seen, given), encoding="utf-8")


if __name__ == "__main__":
    main()
