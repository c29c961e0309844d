"""A forge in each of its forms."""

import shutil

import pytest

from tests.servers.forge import SITE

FLAVOURS = {
    "partial": {},
    "old": {"partial": False},
    "dulwich": {"partial": False, "use_git": False},
}


@pytest.fixture(params=list(FLAVOURS))
def any_forge(request, start_forge):
    """A forge of each flavour, with the repository ``site``."""
    if request.param != "dulwich" and not shutil.which("git"):
        pytest.skip("install git")
    forge = start_forge(**FLAVOURS[request.param])
    forge.create_repository("site", SITE)
    return forge
