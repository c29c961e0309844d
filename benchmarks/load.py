"""``python -m benchmarks.load``: the queue under load. Each part starts its own servers and prints its own figures."""

import argparse
import itertools
import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from benchmarks.roundtrips import Line  # noqa: E402 - Django has to be set up first
from benchmarks.usage import cpu_seconds, cpu_shares, peak  # noqa: E402
from tests.faults.stage import Push, Setting, Site, Stage, stage  # noqa: E402
from tests.servers.postgresql import PostgreSQL  # noqa: E402
from tests.servers.programs import wait_until  # noqa: E402
from tests.servers.project import Web  # noqa: E402
from tests.servers.redis import Redis  # noqa: E402

QUIET = {
    "FTP_DEPLOY_LEASE_SECONDS": 120.0,
    "FTP_DEPLOY_HEARTBEAT_SECONDS": 10.0,
    "FTP_DEPLOY_REPLY_TIMEOUT": 60.0,
    "FTP_DEPLOY_SWEEP_SECONDS": 15.0,
}


@contextmanager
def running(database: str = "postgresql", **settings: object) -> Iterator[Stage]:
    """A stage on a database and Redis, with the time-outs of life."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgreSQL()) if database == "postgresql" else None
        broker = stack.enter_context(Redis())
        yield stack.enter_context(stage(Setting(server, broker.port, "redis"), **{**QUIET, **settings}))


# The webhook


class Client:
    """One kept-alive connection that sends ready-made requests."""

    def __init__(self, web: Web) -> None:
        self._socket = socket.create_connection(("127.0.0.1", web.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> tuple[int, float]:
        """Send one request; return the status and the seconds until the whole answer was there."""
        began = time.perf_counter()
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(body) < length:
            body += self._receive()
        return int(head.split(b" ")[1]), time.perf_counter() - began

    def _receive(self) -> bytes:
        block = self._socket.recv(65536)
        if not block:
            raise ConnectionError("the web server hung up")
        return block


def raw(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return an HTTP request as it goes over the line."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def hooks(sites: list[Site], count: int) -> list[bytes]:
    """Return signed hooks, each of another push of a real commit's shape."""
    made = []
    for site in sites:
        site.commit({"index.html": b"one", "css/site.css": b"two"})
        site.commit({"index.html": b"three", "page.html": b"four"})
    for number in range(count):
        site = sites[number % len(sites)]
        push = Push(site, site.pushes[0].after, site.pushes[1].after)
        body, headers = renumbered(push, number)
        made.append(raw(f"/ftpdeploy/deploy/{site.secret_key}", body, headers))
    return made


def renumbered(push: Push, number: int) -> tuple[bytes, dict[str, str]]:
    """Return a hook of its own: the same commits under another chain of ids."""
    from ftp_deploy.standalone.forge.deliveries import signatures

    body, headers = push.request()
    turn = number // len(push.site.stage.sites)
    body = body.replace(push.before.encode(), b"%040x" % turn).replace(push.after.encode(), b"%040x" % (turn + 1))
    return body, {**headers, **signatures(push.site.hook_secret, body)}


def throughput(web: Web, requests: list[bytes], lines: int, pause: float = 0.0) -> tuple[float, list[float], int]:
    """Send all requests over so many connections; return requests per second, seconds of each, and failures.

    Each connection sends one request in so many: where the number of services is a multiple of that of the
    connections, the pushes of one service do not overtake each other.
    """

    def work(line: Client, part: list[bytes]) -> list[tuple[int, float]]:
        answers = []
        for request in part:
            answers.append(line.send(request))
            if pause:
                time.sleep(pause)
        return answers

    opened = [Client(web) for _ in range(lines)]
    began = time.perf_counter()
    with ThreadPoolExecutor(lines) as pool:
        parts = pool.map(work, opened, [requests[number::lines] for number in range(lines)])
        answers = [answer for part in parts for answer in part]
    seconds = time.perf_counter() - began
    failures = sum(not 200 <= status < 300 for status, _ in answers)
    return len(answers) / seconds, [taken for _, taken in answers], failures


def webhook(count: int, lines: int, database: str) -> None:
    """Compare the webhook with a view that inserts one row, in turns, on the same server and database.

    The rate limit counts, but refuses nothing.
    """
    with running(database, FTP_DEPLOY_WEBHOOK_RATE=1_000_000_000) as made:
        for _ in range(40):
            made.add_site()
        web = made.project.web(threads=8)
        ours = hooks(made.sites, count * 4)
        body, headers = made.sites[0].pushes[1].request()
        plain = [raw("/insert", body, headers)] * count
        throughput(web, plain[:50], lines)
        rates: dict[str, list[float]] = {"insert": [], "webhook": []}
        failures = 0
        for turn in range(3):
            rates["insert"].append(throughput(web, plain, lines)[0])
            rate, _, failed = throughput(web, ours[turn * count : (turn + 1) * count], lines)
            rates["webhook"].append(rate)
            failures += failed
        insert, hook = (statistics.median(rates[name]) for name in ("insert", "webhook"))
        turns = ", ".join(
            f"{ours / theirs:.2f}" for theirs, ours in zip(rates["insert"], rates["webhook"], strict=True)
        )
        print(f"webhook on {database}: {hook:.0f}/s, one insert: {insert:.0f}/s, ratio {hook / insert:.2f} ({turns})")
        print(f"{failures} failures, {cpu_seconds(web):.1f} s of CPU in the web process")
        half = max(lines / (hook / 2) - lines / hook, 0.0)
        _, taken, _ = throughput(web, ours[3 * count :], lines, pause=half)
        median, tail = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        print(f"at half load: median {median * 1000:.1f} ms, p99 {tail * 1000:.1f} ms, ratio {tail / median:.1f}")
        dead_broker(made, web, count, lines)


def dead_broker(made: Stage, web: Web, count: int, lines: int) -> None:
    """The same with nobody at the broker's address."""
    assert made.broker
    made.broker.refuse()
    fresh = [made.add_site() for _ in range(10)]
    rate, taken, failures = throughput(web, hooks(fresh, count), lines)
    print(f"broker dead: {rate:.0f}/s, slowest {max(taken):.2f} s, {failures} failures")


# From the push to the last rename


def latency(rtt: float, turns: int) -> None:
    """Measure a 5-file push with an idle worker, from the hook to the last file live on the server."""
    with running() as made:
        made.ftp.delay = rtt / 2
        line = Line(made.ftp)
        site, web = made.add_site(), made.project.web()
        worker = made.project.worker(pool="threads", concurrency=4)
        taken, steps, busy = [], [], []
        for turn in range(turns + 1):
            push = site.commit({f"css/file-{number}.txt": b"%d %d" % (turn, number) for number in range(5)})
            began = time.perf_counter()
            assert push.deliver(web.url) == 202
            wait_until(lambda: site.live() == site.tree, "the push is live", pause=0.002)
            ended = time.perf_counter()
            taken.append(ended - began)
            busy.append(line.busy(began, ended))
            made.settle()
            steps.append(phases(site))
            wait_until(line.is_idle, "the worker is idle: it checks the service after a deploy")
        report = ", ".join(f"{name} {statistics.median(part[name] for part in steps[1:]):.2f}" for name in steps[-1])
        waited = statistics.median(busy[1:])
        print(
            f"push to live, 5 files, {rtt * 1000:.0f} ms RTT: median {statistics.median(taken[1:]):.2f} s, "
            f"first {taken[0]:.2f} s; seconds by phase: {report}; under way to or from the FTP server: {waited:.2f} s, "
            f"{waited / rtt:.1f} round trips, {waited / statistics.median(taken[1:]):.0%}"
        )
        first_push(made).deliver(web.url)
        made.settle()
        wait_until(line.is_idle, "the worker is idle")
        worker.terminate()
        explain(made, web, line, rtt)


def first_push(made: Stage) -> Push:
    """Add a service with its first push."""
    return made.add_site().commit({"index.html": b"first"})


def explain(made: Stage, web: Web, line: Line, rtt: float) -> None:
    """Tell what one run of five files waits for, in a process of its own that has made a run before."""
    for site in reversed(made.sites):
        site.commit({f"css/file-{number}.txt": b"last %d" % number for number in range(5)}).deliver(web.url)
    services = [site.pk for site in reversed(made.sites)]
    code = (
        f"import json\nfrom benchmarks.roundtrips import run_and_count\nfound = list(map(run_and_count, {services}))\n"
    )
    *_, found = json.loads(made.project.python(code + "print(json.dumps(found))"))
    total = found["ended"] - found["began"]
    found["seconds"]["FTP server"] = line.busy(found["began"], found["ended"])
    found["counts"]["FTP server"] = round(found["seconds"]["FTP server"] / rtt, 1)
    parts = ", ".join(f"{name} {found['counts'][name]} in {part:.3f} s" for name, part in found["seconds"].items())
    explained = sum(found["seconds"].values())
    print(
        f"one run of {total:.3f} s, round trips: {parts}; together {explained / total:.0%}; "
        f"{found['processor']:.3f} s of CPU in the worker"
    )


def phases(site: Site) -> dict[str, float]:
    """Return how long each phase of the last deploy took, in seconds."""
    from datetime import datetime

    deploy = site.deploys.last()
    assert deploy
    assert deploy.finished_at
    begins = [(name, datetime.fromisoformat(at)) for name, at in deploy.steps.items()] + [("", deploy.finished_at)]
    begins.sort(key=lambda step: step[1])
    return {name: (then - at).total_seconds() for (name, at), (_, then) in itertools.pairwise(begins)}


# Many services, some workers


def scale(services: int, pushes: int, workers: list[int], rtt: float, concurrency: int, combine: bool) -> None:
    """Deploy the same backlog through more and more worker processes."""
    single = 0.0
    for count in workers:
        seconds, used = backlog(services, pushes, count, rtt, concurrency, combine)
        single = single or seconds
        shares = ", ".join(f"{name} {part:.1f}" for name, part in used.items())
        print(
            f"{services} services x {pushes} pushes, {rtt * 1000:.0f} ms, {count} workers with {concurrency} threads: "
            f"{seconds:.1f} s from the first claim on, {single / seconds:.2f} times the first; "
            f"seconds of CPU: {shares}, of {seconds * (os.cpu_count() or 1):.0f}",
            flush=True,
        )


def backlog(
    services: int, pushes: int, workers: int, rtt: float, concurrency: int, combine: bool
) -> tuple[float, dict[str, float]]:
    """Return the seconds from the first claim to the last outcome, and who used how much CPU time meanwhile.

    The services are turned off until all workers are ready: starting Python costs more than a second of CPU each.
    """
    from ftp_deploy.models import Service
    from tests.faults.oracle import violations

    with running() as made:
        made.ftp.delay = rtt / 2
        web = made.project.web(threads=8)
        for _ in range(services):
            site = made.add_site(combine_pushes=combine, max_connections=1)
            for turn in range(pushes):
                assert site.commit({"index.html": b"%d" % turn}).deliver(web.url) == 202
        switch = Service.objects.using(made.alias)
        switch.update(enabled=False)
        started = [made.project.worker(pool="threads", concurrency=concurrency) for _ in range(workers)]
        switch.update(enabled=True)
        before = cpu_shares(started)
        made.project.python("from ftp_deploy.deploys.sweep import sweep\nsweep()")
        made.settle(3600)
        ended = time.time()
        used = {name: total - before[name] for name, total in cpu_shares(started).items()}
        wrong = [violation for site in made.sites for violation in violations(site)]
        assert not wrong, wrong[:5]
        return ended - first_claim(made), used


def first_claim(made: Stage) -> float:
    """Return when the first lease was taken, in seconds of this machine's clock."""
    from ftp_deploy.models import LeaseEvent

    first = LeaseEvent.objects.using(made.alias).order_by("at").first()
    assert first
    return first.at.timestamp()


# Memory, and a long line


def memory(threads: int) -> None:
    """Run so many deploys at once in one process, and read its high-water mark."""
    with running() as made:
        web = made.project.web()
        made.ftp.rate = 20_000
        for _ in range(threads):
            site = made.add_site(max_connections=2)
            assert site.commit({f"{n}.bin": os.urandom(50_000) for n in range(6)}).deliver(web.url) == 202
        worker = made.project.worker(pool="threads", concurrency=threads)
        most = 0
        while made.unfinished():
            most = max(most, running_now(made))
            time.sleep(0.2)
        print(f"{threads} threads: {most} deploys at once, peak {peak(worker) / 1024:.0f} MB")


def running_now(made: Stage) -> int:
    """Return how many deploys run at this moment."""
    from ftp_deploy.models import Deploy

    return Deploy.objects.using(made.alias).filter(state=Deploy.State.RUNNING).count()


def claim() -> None:
    """Claim the next of 100,000 waiting deploys of 1,000 services."""
    from tests.servers.project import Project

    with PostgreSQL() as server, Project(server.new_database(), "memory://") as project:
        project.manage("migrate", "-v0")
        code = (
            "from tests.deploys.backlog import fill, seconds_to_claim\nfill(1000, 100)\nprint(*seconds_to_claim(300))"
        )
        taken = [float(part) for part in project.python(code).split()]
        median, tail = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        print(f"claim of the next of 100,000: median {median * 1000:.1f} ms, p99 {tail * 1000:.1f} ms")


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="webhook, latency, scale, memory, claim; none: all")
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=8, help="connections of the webhook's client")
    parser.add_argument("--rtt", type=float, default=0.02, help="seconds to the FTP server and back")
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--pushes", type=int, default=20)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--scale-rtt", type=float, default=0.1)
    parser.add_argument("--concurrency", type=int, default=4, help="threads of each worker")
    parser.add_argument("--one-by-one", action="store_true", help="a run for each push, not one for those that wait")
    given = parser.parse_args()
    counts = [int(part) for part in given.workers.split(",")]
    parts: dict[str, Callable[[], None]] = {
        "claim": claim,
        "webhook": lambda: webhook(given.requests, given.lines, given.database),
        "latency": lambda: latency(given.rtt, 10),
        "memory": lambda: memory(50),
        "scale": lambda: scale(
            given.services, given.pushes, counts, given.scale_rtt, given.concurrency, not given.one_by_one
        ),
    }
    for name in given.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
