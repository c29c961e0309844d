"""Polish is complete: every text of the app has a translation, and the compiled file is that of the source."""

import gettext
import re
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import translation

import ftp_deploy
from tests.server import sample
from tests.servers.binaries import need

APP = Path(ftp_deploy.__file__).parent
CATALOGUE = APP / "locale" / "pl" / "LC_MESSAGES" / "django"


def messages(text: str) -> set[tuple[str, str]]:
    """Return context and msgid of each entry of a .po text, obsolete ones and the header left out."""
    found = set()
    for entry in re.split(r"\n\n+", text):
        lines = [line for line in entry.splitlines() if not line.startswith("#")]
        values: dict[str, str] = {}
        name = ""
        for line in lines:
            match = re.match(r"(msg\w+(?:\[\d\])?) ", line)
            name = match[1] if match else name
            values[name] = values.get(name, "") + line[line.index('"') + 1 : line.rindex('"')]
        if values.get("msgid"):
            found.add((values.get("msgctxt", ""), values["msgid"].replace('\\"', '"').replace("\\n", "\n")))
    return found


@pytest.mark.integration
def test_every_text_is_in_the_catalogue(tmp_path, monkeypatch):
    need("xgettext", "gettext")
    from django.core.management import call_command

    copy = tmp_path / "ftp_deploy"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("vendor", "__pycache__", "locale"))
    (copy / "locale").mkdir()
    monkeypatch.chdir(copy)
    with monkeypatch.context() as patch:
        patch.setattr(settings, "LOCALE_PATHS", [], raising=False)
        call_command("makemessages", locale=["pl"], verbosity=0)
    fresh = messages((copy / "locale/pl/LC_MESSAGES/django.po").read_text(encoding="utf-8"))
    known = messages(CATALOGUE.with_suffix(".po").read_text(encoding="utf-8"))
    assert fresh - known == set()


def test_nothing_is_left_untranslated():
    text = CATALOGUE.with_suffix(".po").read_text(encoding="utf-8")
    assert "#, fuzzy" not in text
    assert not re.search(r'msgstr(\[\d\])? ""\n(?!")', text)
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for _context, message in messages(text):
        translated = compiled.gettext(message)
        assert translated, message
        for name in re.findall(r"%\(\w+\)s", message):
            assert name in translated or compiled.ngettext(message, message, 5).count(name), message


@pytest.mark.django_db
def test_the_pages_speak_polish(client):
    client.force_login(sample.add_admin())
    sample.fill(days=2)
    with translation.override("pl"):
        page = client.get(reverse("ftpdeploy_dashboard")).content.decode()
    assert "Ostatnie wdrożenie" in page
    assert 'lang="pl"' in page
    assert "Last deploy" not in page
