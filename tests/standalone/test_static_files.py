"""What the stand-alone server sends is compressed, and the same after unpacking."""

import gzip
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import RequestFactory

from ftp_deploy.server.live import answer, encoded
from ftp_deploy.standalone import settings as standalone
from ftp_deploy.standalone import static_files

pytestmark = pytest.mark.django_db  # a response that is closed closes old connections
STYLES = "ftp_deploy/css/app.css"


@pytest.fixture
def serve(settings, tmp_path: Path):
    settings.DATA_FOLDER = tmp_path
    settings.WHITENOISE_USE_FINDERS = True
    settings.WHITENOISE_MAX_AGE = 3600
    settings.STATIC_URL = "/static/"
    settings.FORCE_SCRIPT_NAME = None

    def ask(name: str, **headers: str) -> tuple[HttpResponse, bytes]:
        middleware = static_files.StaticFiles(lambda _request: HttpResponse(status=404))
        with closing(middleware(RequestFactory().get(f"/static/{name}", headers=headers))) as response:
            return response, b"".join(response)

    return ask


def test_a_browser_gets_a_compressed_copy(serve) -> None:
    found, content = serve(STYLES, accept_encoding="gzip, br")
    original = Path(finders.find(STYLES)).read_bytes()
    assert found.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in found.headers["Vary"]
    assert found.headers["Content-Type"].startswith("text/css")
    assert gzip.decompress(content) == original
    assert len(content) < len(original) / 3


def test_others_get_the_file_itself(serve) -> None:
    plain, content = serve(STYLES)
    assert "Content-Encoding" not in plain.headers
    assert content == Path(finders.find(STYLES)).read_bytes()
    assert serve("nothing/here.css")[0].status_code == 404


def test_a_copy_is_made_again_when_the_file_changes(settings, tmp_path: Path) -> None:
    settings.DATA_FOLDER = tmp_path / "data"
    file = tmp_path / "page.js"
    for text in (b"a" * 5000, b"b" * 6000):
        file.write_bytes(text)
        copy = static_files.compressed(file)
        assert copy
        assert gzip.decompress(copy.read_bytes()) == text
    assert len(list(static_files.folder().iterdir())) == 1
    small = tmp_path / "small.js"
    small.write_bytes(b"1")
    assert static_files.compressed(small) is None


def test_a_folder_that_takes_nothing_is_no_fault(settings, tmp_path: Path) -> None:
    settings.DATA_FOLDER = tmp_path / "file"
    settings.DATA_FOLDER.write_text("in the way")
    file = tmp_path / "page.js"
    file.write_bytes(b"a" * 5000)
    assert static_files.compressed(file) is None


def test_pages_are_compressed_and_live_answers_still_say_unchanged() -> None:
    assert "django.middleware.gzip.GZipMiddleware" in standalone.MIDDLEWARE
    body, tag = encoded({"lines": ["x"] * 500}, busy=True)
    asked = RequestFactory().get("/", headers={"If-None-Match": f"W/{tag}"})
    assert answer(asked, body, tag).status_code == 304


def test_an_address_changes_with_its_file(settings, tmp_path: Path) -> None:
    assert standalone.STORAGES["staticfiles"]["BACKEND"].endswith(".VersionedFiles")
    settings.STATICFILES_DIRS = [tmp_path]
    settings.STATIC_URL = "/static/"
    storage = static_files.VersionedFiles()
    addresses = set()
    for text in ("one", "two"):
        (tmp_path / "page.js").write_text(text)
        finders.get_finder.cache_clear()
        static_files.version.cache_clear()
        addresses.add(storage.url("page.js"))
    finders.get_finder.cache_clear()
    static_files.version.cache_clear()
    assert len(addresses) == 2
    assert all(address.startswith("/static/page.js?v=") for address in addresses)
    assert storage.url("missing.js") == "/static/missing.js"
