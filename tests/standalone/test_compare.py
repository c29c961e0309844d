"""The judge's own reading of git: which files count, and what is no commit."""

from pathlib import Path

import pytest
from dulwich.objects import Blob, Tree
from dulwich.repo import Repo

from ftp_deploy.standalone.demo.compare import committed_files
from ftp_deploy.standalone.forge.storage import Author, new_commit


def test_links_and_submodules_are_left_out(tmp_path: Path) -> None:
    with Repo.init_bare(str(tmp_path)) as repo:
        page, link = Blob.from_string(b"page"), Blob.from_string(b"page.html")
        tree = Tree()
        tree.add("Grüße.html".encode(), 0o100644, page.id)
        tree.add(b"run.sh", 0o100755, page.id)
        tree.add(b"link", 0o120000, link.id)
        tree.add(b"module", 0o160000, b"1" * 40)
        commit = new_commit(tree.id, [], "Odd entries", Author())
        for item in (page, link, tree, commit):
            repo.object_store.add_object(item)
    assert committed_files(tmp_path, commit.id.decode()) == {"Grüße.html": b"page", "run.sh": b"page"}
    with pytest.raises(TypeError, match="is not a commit"):
        committed_files(tmp_path, page.id.decode())
