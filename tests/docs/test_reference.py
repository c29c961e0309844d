"""The reference has what the code has: nothing is missing, nothing is left over."""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.db.models import TextChoices

from ftp_deploy import checks, conf, exceptions, signals
from ftp_deploy.models import deploy as deploy_model
from ftp_deploy.notifications import content, webhook
from ftp_deploy.standalone import metrics
from ftp_deploy.standalone import urls as standalone_urls
from tests.standalone.processes import ROOT

REFERENCE = ROOT / "docs" / "reference"


ADVICE_OF_THEIR_OWN = {"ApiError", "CallFailed", "PayloadUnreadable", "SignatureRefused"} | {
    "DeployCancelled", "LeaseLost", "WorkerStopping",
}  # fmt: skip
"""Errors that say themselves what to do, that a program is answered with, or after which nothing has to be done."""


def page(name: str) -> str:
    return (REFERENCE / f"{name}.rst").read_text(encoding="utf-8")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The directives that write pages from the code."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_extensions"))
    yield __import__("reference")
    sys.modules.pop("reference", None)


def test_every_system_check_is_listed() -> None:
    found = set(re.findall(r'id="(ftp_deploy\.[EW]\d+)"|"(ftp_deploy\.[EW]\d+)",\n', inspect.getsource(checks)))
    ids = {one or other for one, other in found}
    assert len(ids) >= 12
    assert set(re.findall(r"``(ftp_deploy\.[EW]\d+)``", page("checks"))) == ids


def test_every_metric_is_listed() -> None:
    names = set(re.findall(r'"(ftp_deploy_\w+)"', inspect.getsource(metrics)))
    assert len(names) >= 7
    assert set(re.findall(r"^``(ftp_deploy_\w+)", page("metrics"), flags=re.M)) == names


def test_every_name_of_the_template_context_is_listed() -> None:
    names = set(re.findall(r'^        "(\w+)":', inspect.getsource(content.context_of), flags=re.M))
    assert {"service", "host", "commits_info", "files_added", "error"} <= names
    listed = page("templates").partition("Templates:")[0]
    assert set(re.findall(r"``(\w+)``", listed)) == names


def test_every_type_of_message_is_listed() -> None:
    assert set(re.findall(r"``((?:deploy|service)\.\w+|test)``", page("json"))) == set(webhook.TYPES.values())


def test_every_signal_is_listed() -> None:
    names = {name for name in vars(signals) if isinstance(getattr(signals, name), signals.Signal)}
    assert names
    assert set(re.findall(r"^``(\w+)``$", page("signals"), flags=re.M)) == names


def test_every_setting_has_a_default_and_a_sentence(written: ModuleType) -> None:
    lines = "\n".join(written.settings())
    settings = [value for value in vars(conf.Conf).values() if isinstance(value, conf.Setting)]
    assert len(settings) > 20
    for setting in settings:
        assert f".. confval:: {setting.name}\n   :default: ``{setting.default!r}``\n\n   {setting.help_text}" in lines
        assert setting.help_text.endswith((".", "off."))


def test_every_address_is_listed_with_what_it_does(written: ModuleType) -> None:
    lines = "\n".join(written.urls())
    assert "See the source." not in lines
    own = {pattern.name for pattern in standalone_urls.urlpatterns if getattr(pattern, "name", None)}
    assert {"healthz", "readyz", "metrics", "setup"} <= own
    for name in (*own, "ftpdeploy_deploy", "ftpdeploy_dashboard"):
        assert f"(``{name}``)" in lines


def test_every_state_has_a_sentence(written: ModuleType) -> None:
    lines = list(written.states())
    choices: type[TextChoices] = deploy_model.DeployState
    for member in choices:
        place = lines.index(f"``{member.value}`` (shown as *{member.label}*)")
        assert lines[place + 1].strip(), member


def test_every_error_says_what_to_do(written: ModuleType) -> None:
    lines = "\n".join(written.errors())
    kinds = [
        kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__
    ]
    assert len(kinds) > 20
    for kind in kinds:
        assert f"``{kind.__name__}``" in lines
    without = {kind.__name__ for kind in kinds if not kind.advice and not kind.__subclasses__()}
    assert without == ADVICE_OF_THEIR_OWN


def test_every_setting_that_a_page_names_exists() -> None:
    known = {value.name for value in vars(conf.Conf).values() if isinstance(value, conf.Setting)}
    pages = [ROOT / "README.rst", ROOT / "CHANGELOG.rst", *(ROOT / "docs").rglob("*.rst")]
    for path in pages:
        named = set(
            re.findall(r"\b(FTP_DEPLOY_[A-Z_]+[A-Z]|DEPLOY_[A-Z]+_SETTINGS)\b", path.read_text(encoding="utf-8"))
        )
        assert {name for name in named if name not in known} <= {"FTP_DEPLOY_FUZZ_EXAMPLES"}, path
