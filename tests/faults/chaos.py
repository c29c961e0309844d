"""Random faults from a seed: pushes arrive while processes, servers and lines fail, then the judge looks.

A schedule is made of the seed alone. What the machine does in between is not, so a seed that failed once is a strong
hint and no proof; run it a few times.
"""

import heapq
import itertools
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tests.faults.oracle import judge
from tests.faults.stage import Push, Setting, Stage
from tests.servers.project import Process, Web
from tests.servers.proxy import TO_CLIENT, TO_SERVER

LEASE_SECONDS = 6
SETTINGS = {
    "FTP_DEPLOY_LEASE_SECONDS": LEASE_SECONDS,
    "FTP_DEPLOY_RETRY_SECONDS": 0.3,
    "FTP_DEPLOY_MAX_CRASHES": 1000,
    "FTP_DEPLOY_CONNECT_TIMEOUT": 3.0,
    "FTP_DEPLOY_REPLY_TIMEOUT": 3.0,
}
STEPS = 10


class Chaos:
    """One run of one seed on one stage."""

    def __init__(self, stage: Stage, setting: Setting, seed: int) -> None:
        self.stage = stage
        self.setting = setting
        self.chance = random.Random(seed)
        self.history: list[str] = []
        self.workers: dict[int, Process] = {}
        self.webs: dict[int, Web] = {}
        self.deliveries: list[threading.Thread] = []
        self._later: list[tuple[float, int, str, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._began = time.monotonic()

    def run(self) -> None:
        """Start everything, let faults happen, stop them, and judge."""
        for _ in range(3):
            self.stage.add_site(combine_pushes=self.chance.random() < 0.7)
        for number in range(2):
            self.start_worker(number)
            self.start_web(number)
        for web in self.webs.values():
            web.wait()
        for _ in range(STEPS):
            self._push_somewhere()
            fault = self.chance.choice(self._faults())
            self._note(fault.__name__)
            fault()
            self._wait(self.chance.choice([0.1, 0.4, 0.8, 1.5]))
        self._heal()
        judge(self.stage)

    def _note(self, what: str) -> None:
        self.history.append(f"{time.monotonic() - self._began:.1f} {what}")

    # What the project runs

    def start_worker(self, number: int, **more: str) -> None:
        """Start the worker of a number: 0 is a prefork pool and sends the periodic tasks, 1 is a pool of threads."""
        pool, concurrency = (("prefork", 2), ("threads", 4))[number]
        self.workers[number] = self.stage.project.worker(
            pool=pool, concurrency=concurrency, beat=number == 0, wait=False, **more
        )

    def start_web(self, number: int) -> None:
        """Start the web server of a number."""
        self.webs[number] = self.stage.project.web(wait=False)

    def _push_somewhere(self) -> None:
        for site in self.chance.sample(self.stage.sites, self.chance.choice([1, 1, 2])):
            pushes = [site.commit(site.random_change(self.chance)) for _ in range(self.chance.choice([1, 1, 3]))]
            self.chance.shuffle(pushes)
            for push in pushes:
                self._deliver(push, self.chance.choice([1, 1, 1, 2, 4]), self.chance.random() < 0.1)

    def _deliver(self, push: Push, copies: int, replayed: bool) -> None:
        """Send a hook from threads of its own, some more than once, to whichever web server."""
        choices = [self.chance.randrange(2) for _ in range(200)]

        def deliver() -> None:
            for number in choices:
                guid = f"replay-{push.guid}" if replayed and push.accepted else ""
                if 200 <= push.deliver(self.webs[number].url, guid=guid, timeout=10) < 300:
                    return
                time.sleep(0.3)

        for _ in range(copies):
            thread = threading.Thread(target=deliver)
            thread.start()
            self.deliveries.append(thread)

    def _wait(self, seconds: float) -> None:
        """Pass some time, and end the faults that are due for it."""
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                _due, _number, name, end = heapq.heappop(self._later)
                self._note(name)
                end()
            if now >= until:
                return
            time.sleep(0.02)

    def _after(self, seconds: float, name: str, end: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), name, end))

    def _heal(self) -> None:
        """End all faults: everything that was asked to fail works again, everything that was ended runs again."""
        self._wait(max([0.0, *(due - time.monotonic() for due, *_rest in self._later)]) + 0.1)
        for number, process in list(self.workers.items()):
            process.kill()
            self.start_worker(number)
        for number, web in list(self.webs.items()):
            if not web.runs:
                self.start_web(number)
        self._note("healed")
        for thread in self.deliveries:
            thread.join(240)
        assert not any(thread.is_alive() for thread in self.deliveries), "a push is never taken"

    # The faults

    def _faults(self) -> list[Callable[[], None]]:
        faults = [
            self.kill_a_child,
            self.kill_a_worker,
            self.kill_a_worker_at_a_point,
            self.freeze_a_worker,
            self.stop_a_worker_politely,
            self.kill_a_web_server,
            self.reset_ftp_lines,
            self.cut_ftp_after_some_bytes,
            self.cut_ftp_replies,
            self.hang_ftp,
            self.restart_the_ftp_server,
            self.reset_forge_lines,
            self.nothing,
        ]
        if self.stage.broker:
            faults += [self.hang_the_broker, self.refuse_at_the_broker, self.duplicate_messages]
        if self.setting.postgresql:
            faults += [self.crash_the_database]
        else:
            faults += [self.lock_the_database]
        return faults

    def nothing(self) -> None:
        """Let it work for a moment."""

    def _any_worker(self) -> int:
        return self.chance.choice(sorted(self.workers))

    def kill_a_child(self) -> None:
        children = [pid for pid in self.workers[0].members() if pid != self.workers[0].process.pid]
        if children:
            import os

            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(sorted(children)), signal.SIGKILL)

    def kill_a_worker(self) -> None:
        number = self._any_worker()
        self.workers[number].kill()
        self._after(self.chance.choice([0.1, 2.0]), f"start worker {number}", lambda: self.start_worker(number))

    def kill_a_worker_at_a_point(self) -> None:
        number = self._any_worker()
        self.workers[number].kill()
        kind, most = self.chance.choice([("write", 60), ("commit", 40), ("rename", 12)])
        point = f"{kind}:{self.chance.randrange(1, most)}"
        self._note(f"failpoint {point} in worker {number}")
        self.start_worker(number, FAILPOINT=point)

        def replace() -> None:
            self.workers[number].kill()
            self.start_worker(number)

        self._after(8.0, f"replace worker {number}", replace)

    def freeze_a_worker(self) -> None:
        frozen = self.workers[self._any_worker()]
        frozen.signal(signal.SIGSTOP, whole=True)
        seconds = self.chance.choice([0.5, LEASE_SECONDS * 1.3])
        self._after(seconds, "thaw", lambda: frozen.signal(signal.SIGCONT, whole=True))

    def stop_a_worker_politely(self) -> None:
        number = self._any_worker()
        stopped = self.workers[number]
        stopped.signal(signal.SIGTERM)
        self._after(0.1, f"start worker {number}", lambda: self.start_worker(number))
        self._after(10.0, "kill the stopped worker", stopped.kill)

    def kill_a_web_server(self) -> None:
        number = self.chance.choice(sorted(self.webs))
        self.webs[number].kill()
        self._after(0.5, f"start web {number}", lambda: self.start_web(number))

    def reset_ftp_lines(self) -> None:
        self.stage.ftp.reset()

    def cut_ftp_after_some_bytes(self) -> None:
        self.stage.ftp.cut_after(self.chance.choice([1, 300, 5000, 100_000]), TO_SERVER)

    def cut_ftp_replies(self) -> None:
        self.stage.ftp.cut_after(self.chance.choice([1, 200, 1000, 3000]), TO_CLIENT)

    def hang_ftp(self) -> None:
        self.stage.ftp.hang()
        self._after(self.chance.choice([0.5, 5.0]), "ftp goes on", self.stage.ftp.resume)

    def restart_the_ftp_server(self) -> None:
        self.stage.server.kill()
        self._after(self.chance.choice([0.3, 3.0]), "start ftp", self.stage.server.start)

    def reset_forge_lines(self) -> None:
        self.stage.git.refuse()
        self._after(self.chance.choice([0.1, 2.0]), "the forge answers", self.stage.git.resume)

    def hang_the_broker(self) -> None:
        assert self.stage.broker
        self.stage.broker.hang()
        self._after(self.chance.choice([0.5, 4.0]), "the broker answers", self.stage.broker.resume)

    def refuse_at_the_broker(self) -> None:
        assert self.stage.broker
        self.stage.broker.refuse()
        self._after(self.chance.choice([0.1, 3.0]), "the broker is back", self.stage.broker.resume)

    def duplicate_messages(self) -> None:
        """Publish each service's message five times, in any order."""
        ids = [site.pk for site in self.stage.sites] * 5
        self.chance.shuffle(ids)
        thread = threading.Thread(
            target=lambda: self.stage.project.python(
                f"from ftp_deploy.deploys.wakeup import send\nfor pk in {ids}: send('ftp_deploy.run', pk)"
            )
        )
        thread.start()
        self.deliveries.append(thread)

    def crash_the_database(self) -> None:
        assert self.setting.postgresql
        self.setting.postgresql.crash()
        self._wait(self.chance.choice([0.1, 1.5]))
        self.setting.postgresql.start()

    def lock_the_database(self) -> None:
        """Hold SQLite's lock as a long write would."""
        path = urlsplit(self.stage.project.database_url).path

        def hold(seconds: float) -> None:
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            try:
                connection.execute("BEGIN EXCLUSIVE")
                time.sleep(seconds)
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                self._note("the database was too busy to be locked")
            finally:
                connection.close()

        thread = threading.Thread(target=hold, args=(self.chance.choice([0.5, 3.0]),))
        thread.start()
        self.deliveries.append(thread)
