"""FTP, and FTP over TLS: the transport that the deploys see. How it is fast is told in the ``ftp_*`` modules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import TypeVar

from ftp_deploy.exceptions import (
    ConnectionFailed,
    FTPDeployError,
    IdentityRefused,
    PermissionRefused,
    TooManyConnections,
    TransferFailed,
    TransportError,
    VerificationFailed,
)
from ftp_deploy.transports import ftp_batches, ftp_listing
from ftp_deploy.transports.base import (
    Enough,
    Guard,
    Progress,
    RemoteFile,
    Rename,
    Traits,
    Transport,
    Upload,
    never_enough,
    probe_names,
)
from ftp_deploy.transports.crew import Crew, Lane
from ftp_deploy.transports.ftp_batches import Batch, batches
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_data import DataConnection
from ftp_deploy.transports.ftp_hashes import kind_of, read_hash
from ftp_deploy.transports.ftp_passive import ask_port
from ftp_deploy.transports.ftp_server import Server
from ftp_deploy.transports.ftp_tls import certificate_of, show_fingerprint
from ftp_deploy.transports.ftp_upload import Uploader
from ftp_deploy.transports.names import check, join
from ftp_deploy.transports.pool import Pool

Job = TypeVar("Job")

PROBE = b"ftp-deploy\n"
DOWNLOAD_BLOCK = 256 * 1024
DEEPEST = 64
"""Directories below each other that a listing follows; deeper ones are a mistake or a trap."""
FEW_DIRECTORIES = 300


class FTP(Transport):
    """FTP in clear text (RFC 959): passwords and files can be read on the way."""

    label = "FTP"
    default_port = 21
    tls = False
    implicit = False

    def expect(self, files: int) -> None:
        """Open as many connections as the work needs, beside whatever is done meanwhile."""
        super().expect(files)
        if hasattr(self, "pool"):
            self.pool.open_ahead(files)

    def connect(self) -> None:
        """Resolve the host once, connect and log in. Further connections follow the first one as far as it gets."""
        self.server = Server(self.target, tls=self.tls, implicit=self.implicit, default_port=self.default_port)
        self.pool = Pool(self._open, self.target.max_connections, self.target.traits.connection_ceiling)
        self.pool.open_ahead(self.expected, self._open_after_first)
        try:
            self._once(lambda control: None)
        except IdentityRefused as error:
            self.close()
            raise self._with_fingerprint(error) from error
        except BaseException:
            self.close()
            raise
        self._remember()

    def close(self) -> None:
        """Close all connections."""
        if hasattr(self, "pool"):
            self.pool.close()
            self.server.abort_opening()

    def probe(self) -> Traits:
        """Put a probe file, rename it over another one, and remove both."""
        self._once(ftp_listing.check_directory)
        *first, last = probe_names(self.target)
        for names in first:
            with suppress(PermissionRefused, TransferFailed, VerificationFailed):
                return self._probe(names)
        return self._probe(last)

    def _probe(self, names: tuple[str, str]) -> Traits:
        now = datetime.now(UTC)
        try:
            for _ in self.upload(
                [Upload(name, len(PROBE), lambda: BytesIO(PROBE), mode=0o644, modified=now) for name in names]
            ):
                pass
            self.server.learn(rename_over=None)
            for _ in self.rename([Rename(*names)], lambda: None):
                pass
            if self.server.traits.rename_over is None:
                self.server.learn(rename_over=True)
        finally:
            with suppress(FTPDeployError):
                for _ in self.delete(names, lambda: None):
                    pass
        return self._remember()

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories: some over one connection, while others may still be opened; many level by level."""
        levels: dict[int, list[str]] = {}
        if len(paths) <= FEW_DIRECTORIES:
            self._crew(ftp_batches.make_directories, str).drain([Batch([check(path) for path in paths])])
            return
        for path in paths:
            levels.setdefault(check(path).count("/"), []).append(path)
        for _, level in sorted(levels.items()):
            self._crew(ftp_batches.make_directories, str).drain(batches(level, self.pool.limit))

    def upload(self, uploads: Sequence[Upload], enough: Enough = never_enough) -> Iterator[Progress]:
        """Send files, the largest first; see the contract."""
        for upload in uploads:
            check(upload.path)
        ordered = sorted(uploads, key=lambda one: -one.size)
        crew = Crew(self.pool, self._send, describe=_path_of, is_final=_is_final)
        crew.abort_opening = self.server.abort_opening
        yield from crew.run(ordered, enough=enough)
        self._remember()

    def _send(self, control: Control, lane: Lane[Upload]) -> None:
        Uploader(control, lane, self.target.file_mode).run()

    def rename(self, renames: Sequence[Rename], guard: Guard) -> Iterator[Progress]:
        """Rename in batches over all connections."""
        for one in renames:
            check(one.source)
            check(one.path)
        yield from self._crew(ftp_batches.rename, str).run(batches(renames, self.pool.limit), guard)
        self._remember()

    def delete(self, paths: Sequence[str], guard: Guard) -> Iterator[Progress]:
        """Delete in batches over all connections."""
        for path in paths:
            check(path)
        yield from self._crew(ftp_batches.delete, str).run(batches(paths, self.pool.limit), guard)

    def prune(self, directories: Sequence[str]) -> tuple[str, ...]:
        """Remove provably empty directories, the deepest level first."""
        removed: list[str] = []

        def work(control: Control, lane: Lane[str]) -> None:
            while (path := lane.take()) is not None:
                with suppress(PermissionRefused):
                    if ftp_listing.remove_if_empty(control, path):
                        removed.append(path)
                lane.done()

        levels: dict[int, list[str]] = {}
        for path in directories:
            levels.setdefault(-check(path).count("/"), []).append(path)
        for _, level in sorted(levels.items()):
            self._crew(work, str).drain(level)
        return tuple(removed)

    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """Ask for sizes in batches; from listings where the server knows no SIZE."""
        for path in paths:
            check(path)
        jobs = batches(paths, self.pool.limit)
        if self.server.size_works:
            self._crew(ftp_batches.measure, str).drain(jobs)
        if self.server.size_works:
            return {path: size for job in jobs for path, size in job.found.items()}
        return self._sizes_from_listings(paths)

    def _sizes_from_listings(self, paths: Sequence[str]) -> dict[str, int | None]:
        found: dict[str, int] = {}

        def work(control: Control, lane: Lane[str]) -> None:
            while (directory := lane.take()) is not None:
                with suppress(PermissionRefused):
                    found.update(ftp_listing.sizes_in(control, directory))
                lane.done()

        self._crew(work, str).drain(sorted({path.rpartition("/")[0] for path in paths}))
        return {path: found.get(path) for path in paths}

    @property
    def hash_kind(self) -> str:
        """What the best of HASH, XSHA256 and their kin gives, as FEAT offers them."""
        return kind_of(self.server.traits.hash_command)

    def matches(self, digests: Mapping[str, str]) -> dict[str, bool | None]:
        """Ask for hashes in batches over all connections."""
        found: dict[str, bool | None] = dict.fromkeys(map(check, digests))
        if not self.hash_kind:
            return found
        jobs = batches(list(digests), self.pool.limit)
        self._crew(ftp_batches.hash_files, str).drain(jobs)
        for path, reply in (pair for job in jobs for pair in job.replies.items()):
            found[path] = read_hash(reply.text, digests[path]) if reply.good else None
        return found

    def walk(self) -> Iterator[RemoteFile]:
        """List directory by directory, several at a time."""
        found: SimpleQueue[RemoteFile] = SimpleQueue()

        def work(control: Control, lane: Lane[str]) -> None:
            while (directory := lane.take()) is not None:
                if directory.count("/") >= DEEPEST:
                    raise TransferFailed(f"The directories on the server are nested more than {DEEPEST} deep.")
                listing = ftp_listing.list_directory(control, directory)
                for entry in listing.entries:
                    found.put(entry)
                    if entry.is_directory:
                        lane.add(entry.path)
                lane.done()

        for _ in self._crew(work, str).run([""]):
            with suppress(Empty):
                while True:
                    yield found.get_nowait()
        self._remember()

    def download(self, path: str) -> Iterator[bytes]:
        """Read one file over a connection of its own."""
        check(path)
        with self._borrowed() as control:
            command = f"RETR {join(self.server.root or '', path)}"
            port = ask_port(control)
            with DataConnection(control, port, command, doing=f"download {path}", path=path) as data:
                data.await_start()
                try:
                    while block := data.connection.recv(DOWNLOAD_BLOCK):
                        yield block
                except OSError as error:
                    raise data.failure(error) from error
                data.finish_receiving()

    # Connections

    def _open(self) -> Control:
        try:
            return Control(self.server)
        except TransportError:
            if not self.server.admitted.is_set():  # those that follow would stand in the way of the next try
                self.server.abort_opening()
            raise

    def _open_after_first(self) -> Control:
        return Control(self.server, follow=True)

    def _crew(self, work: Callable[[Control, Lane[Job]], None], describe: Callable[[Job], str]) -> Crew[Job, Control]:
        crew = Crew(self.pool, work, describe=describe)
        crew.abort_opening = self.server.abort_opening
        return crew

    def _once(self, work: Callable[[Control], None]) -> None:
        """Do something once over any connection; over a fresh one if that breaks."""

        def run(control: Control, lane: Lane[str]) -> None:
            while lane.take() is not None:
                work(control)
                lane.done()

        self._crew(run, str).drain([""])

    def _with_fingerprint(self, error: IdentityRefused) -> IdentityRefused:
        """Return the error with the fingerprint that the server shows, so that a person can compare and accept it.

        A further connection looks at the certificate alone; neither name nor password is sent.
        """
        if error.reply:
            return error
        lenient = replace(self.target, verify_certificate=False, fingerprint="")
        server = Server(lenient, tls=self.tls, implicit=self.implicit, default_port=self.default_port)
        try:
            control = Control(server, log_in=False)
        except TransportError:
            return error
        shown = show_fingerprint(certificate_of(control.connection))
        control.discard()
        return IdentityRefused(f"{error.message} Its fingerprint is {shown}.", reply=shown, advice=error.advice)

    @contextmanager
    def _borrowed(self) -> Iterator[Control]:
        """A connection that answers; it is thrown away after an error or an interruption."""
        control = self.pool.take_idle()
        if control is not None:
            try:
                control.ask("NOOP")
            except (ConnectionFailed, TooManyConnections):
                self.pool.drop(control)
                control = None
        control = control or self.pool.open()
        try:
            yield control
        except BaseException:
            self.pool.drop(control)
            raise
        self.pool.give_back(control)

    def _remember(self) -> Traits:
        """Put what was learnt where the caller finds it."""
        known = self.server.traits.connection_ceiling
        if self.pool.ceiling is not None:
            self.server.learn(connection_ceiling=self.pool.ceiling)
        elif known and self.pool.most > known:
            full = self.pool.most >= self.target.max_connections
            self.server.learn(connection_ceiling=None if full else self.pool.most)
        self.traits = self.server.traits
        return self.traits


class ExplicitFTPS(FTP):
    """FTP that switches to TLS before the log-in (AUTH TLS, RFC 4217); data connections are always encrypted."""

    label = "FTPS (explicit TLS)"
    encrypted = True
    tls = True


class ImplicitFTPS(ExplicitFTPS):
    """FTP over TLS from the first byte, on a port of its own."""

    label = "FTPS (implicit TLS)"
    default_port = 990
    implicit = True


def _path_of(upload: Upload) -> str:
    return upload.shown


def _is_final(error: TransportError, tries: int) -> bool:
    """Whether an upload's error ends everything: a refusal is believed when it is repeated."""
    if isinstance(error, PermissionRefused):
        return tries >= 2
    return not error.transient
