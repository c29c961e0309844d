"""Read a repository over the git protocol with dulwich: a branch's head, a commit's tree, the blobs of a deploy.

No git binary and no check-out. Where the server can, the tree comes without its blobs (a partial clone, depth 1) and
then only the wanted blobs, by id; where it cannot, one shallow fetch brings everything. Everything lies in a temporary
folder that goes away with the ``Snapshot``.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from dulwich.errors import GitProtocolError, HangupException
from dulwich.objects import ObjectID
from dulwich.refs import Ref

from ftp_deploy.exceptions import (
    BranchMissing,
    CommitMissing,
    RepositoryError,
    RepositoryUnavailable,
    TransportError,
    WorkerDiskFull,
)
from ftp_deploy.repository.base import GitSource, ServerRefusal, TreeEntry, plain
from ftp_deploy.repository.git_http import HttpGitClient
from ftp_deploy.repository.git_ssh import SSHGitClient
from ftp_deploy.repository.snapshot import ObjectStore, Snapshot

__all__ = ["GitSource", "Snapshot", "TreeEntry", "branch_head", "fetch"]

BLOBS_PER_REQUEST = 2000
COMMIT_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def branch_head(source: GitSource, branch: str) -> str:
    """Return the commit id that a branch points at.

    Raises ``BranchMissing``, ``RepositoryLoginRefused``, ``RepositoryMissing``, ``RepositoryUnavailable``.
    """
    with Remote(source.cleaned(), branch) as remote:
        return remote.head()


def fetch(source: GitSource, branch: str, commit: str = "", folder: str | None = None) -> Snapshot:
    """Fetch the tree of ``commit``, or of the head of ``branch`` where no commit is named or it cannot be had by id.

    The snapshot says which commit it holds, and in ``exact`` whether that is the one asked for. It is a context
    manager; leaving it removes its files. ``folder`` is where these lie, None for the system's temporary folder.
    """
    remote = Remote(source.cleaned(), branch)
    store = ObjectStore(folder, source.max_bytes)
    try:
        got = remote.fetch_commit(store, commit)
        snapshot = Snapshot(store, remote, got, exact=not commit or got == commit)
        snapshot.load_tree(source.max_files)
    except BaseException:
        store.close()
        remote.close()
        raise
    return snapshot


class Remote:
    """One repository on one server, for the time of one deploy."""

    def __init__(self, source: GitSource, branch: str) -> None:
        self.source = source
        self.branch = branch
        self._client = open_client(source)

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def _ref(self) -> Ref:
        return Ref(b"refs/heads/" + self.branch.encode())

    def _ask(self) -> "str | None":
        """Ask the server, once, where the branch is and what it can do; return the head."""
        with errors_of(self.source):
            found = self._client.get_refs(b"", ref_prefix=[self._ref]).refs.get(self._ref)
        if found and not COMMIT_ID.fullmatch(found):
            raise RepositoryError(f"{self.source.shown_url} names something as the head that is no commit's id.")
        return found.decode("ascii") if found else None

    def head(self) -> str:
        """Return the commit id of the branch. Raises ``BranchMissing``."""
        found = self._ask()
        if not found:
            raise BranchMissing(f"{self.source.shown_url} has no branch {self.branch!r}.")
        return found

    def fetch_commit(self, store: ObjectStore, commit: str) -> str:
        """Put a commit and its trees into the store; return its id: ``commit``, else the head of the branch."""
        if commit:
            try:
                self._fetch_tree(store, commit)
            except CommitMissing:
                if commit == self.head():
                    raise
            else:
                return commit
        head = self.head()
        self._fetch_tree(store, head)
        return head

    def fetch_blobs(self, store: ObjectStore, commit: str, blob_ids: Iterable[str]) -> None:
        """Put those blobs into the store that it lacks. Raises ``CommitMissing`` where the server lacks one."""
        missing = sorted({blob_id for blob_id in blob_ids if blob_id not in store})
        try:
            for start in range(0, len(missing), BLOBS_PER_REQUEST):
                self._fetch(store, missing[start : start + BLOBS_PER_REQUEST], depth=None, partial=False)
        except CommitMissing:
            self._fetch(store, [commit], depth=self.source.depth, partial=False)
        lost = [blob_id for blob_id in missing if blob_id not in store]
        if lost:
            raise CommitMissing(f"{self.source.shown_url} did not send {len(lost)} of the blobs, such as {lost[0]}.")

    def _fetch_tree(self, store: ObjectStore, commit: str) -> None:
        self._ask()
        if b"object-format=sha256" in self._client.capabilities:
            store.algorithm = "sha256"
        self._fetch(store, [commit], depth=self.source.depth, partial=True)
        if commit not in store:
            raise CommitMissing(f"{self.source.shown_url} does not give out the commit {commit}.")

    @property
    def _can_filter(self) -> bool:
        """Whether the server gives out trees without their blobs; said in protocol version 2 only."""
        offered = [name for name in self._client.capabilities if name.startswith(b"fetch=")]
        return any(b"filter" in name.partition(b"=")[2].split() for name in offered)

    def _fetch(self, store: ObjectStore, wants: Sequence[str], *, depth: int | None, partial: bool) -> None:
        """Fetch objects by id. Raises ``CommitMissing`` where the server refuses the ids."""
        ids = [ObjectID(want.encode("ascii")) for want in wants]

        def determine_wants(refs: object, depth: int | None = None) -> list[ObjectID]:
            return ids

        with errors_of(self.source, by_id=True), store.incoming() as pack:

            def write(data: bytes) -> int:
                self._client.allowance.was_pack(len(data))
                return pack.write(data)

            self._client.fetch_pack(
                b"",
                determine_wants,
                NoHaves(),
                write,
                depth=depth,
                ref_prefix=[self._ref],
                filter_spec=b"blob:none" if partial and self._can_filter else None,
            )


class NoHaves:
    """The walker of a client that has nothing yet."""

    shallow: frozenset[bytes] = frozenset()

    def __iter__(self) -> Iterator[None]:
        return self

    def __next__(self) -> None:
        """Return None: there is nothing to offer."""

    def ack(self, sha: bytes) -> None:
        """Take no notice."""

    def nak(self) -> None:
        """Take no notice."""


def open_client(source: GitSource) -> HttpGitClient | SSHGitClient:
    """Return a client for the source's protocol, not yet connected."""
    return SSHGitClient(source) if source.is_ssh else HttpGitClient(source)


@contextmanager
def errors_of(source: GitSource, *, by_id: bool = False) -> Iterator[None]:
    """Turn dulwich's errors into ours. A refusal of a request for objects by their ids is ``CommitMissing``."""
    where = source.shown_url
    try:
        yield
    except HangupException as error:
        raise RepositoryUnavailable(f"{where} closed the connection in the middle of its answer.") from error
    except TransportError as error:
        if not error.transient:
            raise
        raise RepositoryUnavailable(f"{where}: {error.message}") from error
    except GitProtocolError as error:
        text = plain(str(error))
        if by_id and (isinstance(error, ServerRefusal) or "not our ref" in text):
            raise CommitMissing(f"{where} does not give out an object by its id: {text}") from error
        raise RepositoryError(f"{where} answered with an error: {text}") from error
    except (AssertionError, ValueError, LookupError, TypeError, EOFError, OSError) as error:
        if WorkerDiskFull.explains(error):
            raise WorkerDiskFull from error
        raise RepositoryError(f"{where} answered with something that is not git data: {repr(error)[:300]}") from error
