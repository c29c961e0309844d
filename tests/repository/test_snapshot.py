"""What is refused in the trees that a forge sent."""

from io import BytesIO
from typing import Any

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob, Commit, Tree
from dulwich.pack import write_pack_objects

from ftp_deploy.exceptions import RepositoryError
from ftp_deploy.repository import snapshot
from ftp_deploy.repository.pack import BLOB, COMMIT, TREE
from ftp_deploy.repository.snapshot import ObjectStore, Snapshot
from ftp_deploy.standalone.forge.storage import Author, new_commit


def tree_of(**entries: Blob | Tree) -> Tree:
    tree = Tree()
    for name, item in entries.items():
        tree.add(name.encode(), 0o040000 if isinstance(item, Tree) else 0o100644, item.id)
    return tree


def stored(*objects: Any) -> ObjectStore:
    store = ObjectStore()
    written = BytesIO()
    write_pack_objects(written.write, list(objects), DEFAULT_OBJECT_FORMAT)
    with store.incoming() as pack:
        pack.write(written.getvalue())
    return store


PAGE = Blob.from_string(b"page")
DEEP = tree_of(page=PAGE)
FOLDER = tree_of(folder=DEEP)
COMMITTED = new_commit(FOLDER.id, [], "Made", Author())


def opened(store: ObjectStore, commit: Commit) -> Snapshot:
    return Snapshot(store, None, commit.id.decode(), exact=True)  # type: ignore[arg-type]


@pytest.fixture
def store() -> Any:
    made = stored(PAGE, DEEP, FOLDER, COMMITTED)
    yield made
    made.close()


def test_nothing_that_came_is_no_pack(store: ObjectStore) -> None:
    with store.incoming():
        pass
    assert PAGE.id.decode() in store


def test_an_object_of_another_kind_is_refused(store: ObjectStore) -> None:
    with pytest.raises(RepositoryError, match="is not a tree"):
        store.read(PAGE.id.decode(), TREE)
    with pytest.raises(RepositoryError, match=r"The commit 0+ is not among what the forge sent"):
        store.read("0" * 40, COMMIT)
    assert store.read(PAGE.id.decode(), BLOB) == b"page"


@pytest.mark.parametrize(
    ("limit", "words"), [("LARGEST_TREE", "larger than 10 bytes"), ("LONGEST_PATH", "a path of more than 10 bytes")]
)
def test_a_tree_made_to_harm_is_refused(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    monkeypatch.setattr(snapshot, limit, 10)
    with pytest.raises(RepositoryError, match=words):
        opened(store, COMMITTED).load_tree(100)
