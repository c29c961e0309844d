"""Workers that share a list of jobs, each with a connection of its own: how one operation uses many connections.

The number of connections grows from one to what the work needs, at most the target's maximum. A server that turns one
away sets the ceiling; that fails nothing. A job that broke is done again on a fresh connection, after a pause.
Everything ends when the generator is closed.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ftp_deploy.exceptions import ConnectionFailed, LoginRefused, TooManyConnections, TransportError
from ftp_deploy.transports.base import Enough, Guard, Progress, never_enough
from ftp_deploy.transports.pool import Conn, Connection, Pool

Job = TypeVar("Job")

LONGEST_SILENCE = 0.2
"""Seconds between two yields, at most."""
GROWTH = 3
"""How many connections may be opened at the same moment for each one that stands."""
TRIES = 4
CONNECT_TRIES = 6
LOGIN_TRIES = 2
FIRST_PAUSE = 0.25
JOIN_SECONDS = 30.0


@dataclass(slots=True)
class Task(Generic[Job]):
    """One job on the list."""

    job: Job
    tries: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Lane(Generic[Job]):
    """A worker's view of the list: it takes jobs, reports, and says when one is done."""

    crew: "Crew[Job, Connection]"
    held: list[Task[Job]] = field(default_factory=list)

    def take(self) -> Job | None:
        """Take the next job if one is ready now."""
        task = self.crew.take()
        if task is None:
            return None
        self.held.append(task)
        return task.job

    def done(self, progress: Progress | None = None) -> None:
        """The job that was taken first is done."""
        self.held.pop(0)
        self.crew.finished(progress)

    def add(self, job: Job) -> None:
        """Put a further job on the list."""
        self.crew.add(job)

    def report(self, progress: Progress) -> None:
        """Tell of something in between."""
        self.crew.report(progress)


class Crew(Generic[Job, Conn]):
    """One operation. ``work`` is called in a worker's thread with a connection and a lane until the lane is empty."""

    def __init__(
        self,
        pool: Pool[Conn],
        work: Callable[[Conn, Lane[Job]], None],
        *,
        describe: Callable[[Job], str],
        is_final: Callable[[TransportError, int], bool] = lambda error, tries: not error.transient,
    ) -> None:
        self._pool = pool
        self._work = work
        self._describe = describe
        self._is_final = is_final
        self._changed = threading.Condition()
        self._tasks: deque[Task[Job]] = deque()
        self._held = 0
        self._unfed = 0
        self._news: list[Progress] = []
        self._error: BaseException | None = None
        self._stopping = False
        self._threads: set[threading.Thread] = set()
        self._opening = 0
        self._connect_failures = 0
        self._hire_after = 0.0

    # In the caller's thread

    def run(self, jobs: Sequence[Job], guard: Guard | None = None, enough: Enough = never_enough) -> Iterator[Progress]:
        """Do the jobs and yield what happens, at least every ``LONGEST_SILENCE`` seconds.

        ``guard`` is called before each job is put on the list; the list is kept short then. Once ``enough`` is true
        the jobs on the list are dropped, and those under way are done. Raises the first error that further tries
        would not heal.
        """
        waiting = deque(jobs)
        if not waiting:
            return
        yielded = time.monotonic()
        try:
            ended = False
            while not ended:
                if enough():
                    self._drop(waiting)
                self._feed(waiting, guard)
                self._hire()
                ended = self._wait(LONGEST_SILENCE)
                if self._error:
                    news = self._take_news()
                    if news.done:  # what was done before the error is done all the same
                        yield news
                    raise self._error
                if ended or time.monotonic() - yielded >= LONGEST_SILENCE:
                    yield self._take_news()
                    yielded = time.monotonic()
        finally:
            self._stop()

    def drain(self, jobs: Sequence[Job], guard: Guard | None = None) -> None:
        """Do the jobs; the same without a word."""
        for _ in self.run(jobs, guard):
            pass

    def _feed(self, waiting: deque[Job], guard: Guard | None) -> None:
        while waiting:
            with self._changed:
                if guard and len(self._tasks) >= max(1, self._pool.standing):
                    break
            if guard:
                guard()
            with self._changed:
                self._tasks.append(Task(waiting.popleft()))
                if not guard:
                    self._tasks.extend(Task(job) for job in waiting)
                    waiting.clear()
                self._unfed = len(waiting)
                self._changed.notify_all()

    def _drop(self, waiting: deque[Job]) -> None:
        """Forget the jobs that nobody has begun."""
        with self._changed:
            waiting.clear()
            self._tasks.clear()
            self._unfed = 0
            self._changed.notify_all()

    def _wait(self, seconds: float) -> bool:
        """Wait for the end, at most ``seconds``, or until the list needs more. Return whether all is done."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (left := deadline - time.monotonic()) > 0:
                if self._error or self._all_done():
                    break
                if self._unfed and len(self._tasks) < max(1, self._pool.standing):
                    break
                self._changed.wait(left)
            return self._all_done()

    def _all_done(self) -> bool:
        return not self._tasks and not self._held and not self._unfed

    def _take_news(self) -> Progress:
        with self._changed:
            news, self._news = self._news, []
        return Progress(
            done=tuple(path for one in news for path in one.done),
            bytes_sent=sum(one.bytes_sent for one in news),
            current=next((one.current for one in reversed(news) if one.current), ""),
            message="\n".join(one.message for one in news if one.message),
        )

    def _stop(self) -> None:
        with self._changed:
            clean = self._all_done() and not self._error
            self._stopping = True
            self._changed.notify_all()
            threads = list(self._threads)
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            while thread.is_alive() and time.monotonic() < deadline:
                if not clean:
                    self._pool.abort()
                    self.abort_opening()
                thread.join(0.5)

    abort_opening: Callable[[], None] = staticmethod(lambda: None)
    """Cuts connections that are being opened; set by the transport."""

    # Workers come and go

    def _hire(self) -> None:
        """Start workers as long as there is work for them and the server is likely to let them in."""
        with self._changed:
            if time.monotonic() < self._hire_after:
                return
            wanted = min(self._pool.limit, self._held + len(self._tasks) + self._unfed)
            while not self._over and len(self._threads) < wanted and self._may_open():
                thread = threading.Thread(target=self._serve, name="transfer", daemon=True)
                self._threads.add(thread)
                self._opening += 1
                thread.start()

    def _may_open(self) -> bool:
        return self._opening < max(1, GROWTH * self._pool.standing + self._pool.pending)

    @property
    def _over(self) -> bool:
        return self._stopping or self._error is not None

    def _serve(self) -> None:
        """Run one worker, from its first connection to the end of the list."""
        connection: Conn | None = None
        try:
            connection = self._connect()
            while connection is not None and self._await_task():
                if not self._use(connection):
                    connection = self._connect_again()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            connection = None
            self._fail(error)
        finally:
            if connection is not None:
                self._pool.give_back(connection)
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _connect_again(self) -> Conn | None:
        with self._changed:
            if not self._may_open():
                return None
            self._opening += 1
        return self._connect()

    def _connect(self) -> Conn | None:
        """Return a connection, or None where this worker is not needed or not let in."""
        try:
            while self._await_task():
                connection = self._pool.take_idle() or self._await_pending()
                if connection is None and self._needs_more:
                    connection = self._try_to_open()
                if connection is not None or self._pool.standing:
                    return connection
            return None
        except BaseException as error:
            self._fail(error)  # before another worker can take this one's place
            raise
        finally:
            with self._changed:
                self._opening -= 1
                self._changed.notify_all()
            self._hire()

    def _await_pending(self) -> Conn | None:
        """Take a connection that is being opened ahead; never as the first one, for those follow that."""
        if not self._pool.standing:
            return None
        return self._pool.await_pending(lambda: not self._needs_more)

    @property
    def _needs_more(self) -> bool:
        with self._changed:
            return bool(self._tasks) and not self._over

    def _try_to_open(self) -> Conn | None:
        try:
            connection = self._pool.open()
        except LoginRefused:
            if not self._pool.standing and self._pool.refused_logins >= LOGIN_TRIES:
                raise
            self._pause(4 * FIRST_PAUSE)
            return None
        except (ConnectionFailed, TooManyConnections) as error:
            self._refused(error)
            return None
        self._connect_failures = 0
        return connection

    def _refused(self, error: TransportError) -> None:
        """Wait before the next try where no connection stands; else let the others go on. Raises after many tries."""
        with self._changed:
            self._connect_failures += 1
            failures = self._connect_failures
            self._hire_after = time.monotonic() + 4 * FIRST_PAUSE
        if self._over or self._pool.standing:
            return
        if failures >= CONNECT_TRIES:
            raise error
        self.report(Progress(message=f"{error} Trying again."))
        self._pause(FIRST_PAUSE * 2**failures)

    def _use(self, connection: Conn) -> bool:
        """Work until the list is empty; return whether the connection is still good."""
        lane: Lane[Job] = Lane(self)  # type: ignore[arg-type]
        try:
            self._work(connection, lane)
        except TransportError as error:
            self._pool.drop(connection)
            self._put_back(lane, error)
            return False
        except BaseException:
            self._pool.drop(connection)
            raise
        return True

    def _put_back(self, lane: Lane[Job], error: TransportError) -> None:
        """List the lane's jobs again; the one that was under way after a pause, unless its error is final."""
        if self._over or not lane.held:
            return
        first, *others = lane.held
        first.tries += 1
        if first.tries >= TRIES or self._is_final(error, first.tries):
            self._fail(error)
            return
        pause = FIRST_PAUSE * 2 ** (first.tries - 1) if error.transient else 0.0
        first.not_before = time.monotonic() + pause
        with self._changed:
            self._held -= len(lane.held)
            self._tasks.extendleft([*others, first])
            self._news.append(Progress(message=f"{self._describe(first.job)}: {error} Trying again."))
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if not self._error and not self._stopping:
                self._error = error
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._over and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    # The list

    def _await_task(self) -> bool:
        """Wait until a job can be taken; False where there is none left."""
        with self._changed:
            while not self._over:
                if self._all_done():
                    return False
                now = time.monotonic()
                if any(task.not_before <= now for task in self._tasks):
                    return True
                soonest = min((task.not_before - now for task in self._tasks), default=5.0)
                self._changed.wait(max(0.01, min(soonest, 5.0)))
            return False

    def take(self) -> Task[Job] | None:
        """Take the first job that is ready, without waiting."""
        with self._changed:
            if self._over:
                return None
            now = time.monotonic()
            for position, task in enumerate(self._tasks):
                if task.not_before <= now:
                    del self._tasks[position]
                    self._held += 1
                    if self._unfed:
                        self._changed.notify_all()
                    return task
            return None

    def add(self, job: Job) -> None:
        """Put a further job on the list while one is held."""
        with self._changed:
            self._tasks.append(Task(job))
            self._changed.notify_all()
        self._hire()

    def finished(self, progress: Progress | None) -> None:
        """One job is done."""
        with self._changed:
            self._held -= 1
            if progress:
                self._news.append(progress)
            if self._all_done() or self._unfed:
                self._changed.notify_all()

    def report(self, progress: Progress) -> None:
        """Keep news for the next yield."""
        with self._changed:
            self._news.append(progress)
