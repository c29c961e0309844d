"""Snapshots of made-up trees: real git objects in a real object store, without a forge."""

from collections.abc import Iterable, Mapping

from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob, Commit, Tree
from dulwich.pack import write_pack_objects

from ftp_deploy.repository.snapshot import ObjectStore, Snapshot

Files = Mapping[str, bytes]


class NothingToFetch:
    """Where blobs come from when all of them are here."""

    def fetch_blobs(self, store: ObjectStore, commit: str, blob_ids: Iterable[str]) -> None:
        missing = [blob_id for blob_id in blob_ids if blob_id not in store]
        assert not missing

    def close(self) -> None:
        """Close nothing."""


def snapshot(files: Files, message: str = "change", *, modes: Mapping[str, int] | None = None) -> Snapshot:
    """Return the snapshot of a commit that holds exactly these files."""
    store = ObjectStore()
    objects: list[Blob | Tree | Commit] = []
    root = _tree(files, objects, modes or {}, "")
    commit = Commit()
    commit.tree = root.id
    commit.author = commit.committer = b"Webmaster <webmaster@example.com>"
    commit.author_time = commit.commit_time = 1_700_000_000
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = message.encode()
    objects.append(commit)
    with store.incoming() as pack:
        unique = list({item.id: item for item in objects}.values())
        write_pack_objects(pack.write, unique, DEFAULT_OBJECT_FORMAT, deltify=False)
    found = Snapshot(store, NothingToFetch(), commit.id.decode(), exact=True)
    found.load_tree(100_000)
    return found


def commit_id(files: Files, message: str = "change") -> str:
    """Return the id of the commit that ``snapshot`` makes."""
    with snapshot(files, message) as made:
        return made.commit


def _tree(files: Files, objects: list, modes: Mapping[str, int], prefix: str) -> Tree:
    tree = Tree()
    folders: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(name, {})[rest] = content
            continue
        blob = Blob.from_string(content)
        objects.append(blob)
        tree.add(name.encode("utf-8", "surrogateescape"), modes.get(prefix + path, 0o100644), blob.id)
    for name, below in folders.items():
        tree.add(name.encode("utf-8", "surrogateescape"), 0o040000, _tree(below, objects, modes, f"{prefix}{name}/").id)
    objects.append(tree)
    return tree
