"""What a release wants to be right before anything is built."""

import pytest

import fabfile

LINES = "- Something new.\n"


def changelog(*sections: str) -> str:
    pairs = zip(sections[::2], sections[1::2], strict=True)
    parts = [f"{title}\n{'-' * len(title)}\n\nAdded\n~~~~~\n\n{body}" for title, body in pairs]
    return "Changelog\n=========\n\nText.\n\n" + "\n".join(parts)


def test_a_changelog_with_version_date_and_entries_is_fine() -> None:
    text = changelog("3.0.0 (2026-12-01)", LINES, "2.1.0 (2014-11-24)", LINES)
    assert fabfile.changelog_faults(text, "3.0.0") == []


@pytest.mark.parametrize("first", ["Unreleased", "3.0.0", "2.1.0 (2014-11-24)", "3.0.01 (2026-12-01)"])
def test_a_changelog_that_begins_with_something_else_is_not(first: str) -> None:
    (fault,) = fabfile.changelog_faults(changelog(first, LINES, "3.0.0 (2026-12-01)", LINES), "3.0.0")
    assert f"begins with '{first}'" in fault


def test_a_version_without_an_entry_is_not() -> None:
    text = changelog("3.0.0 (2026-12-01)", "", "2.1.0 (2014-11-24)", LINES)
    assert fabfile.changelog_faults(text, "3.0.0") == ["CHANGELOG.rst says nothing of 3.0.0."]


def test_what_is_not_ready_is_said_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"status": " M fabfile.py\n", "tag": "v2.9.0\nv3.0.0.dev9\n"}
    monkeypatch.setattr(fabfile, "git", lambda *arguments: answers[arguments[0]])
    faults = "\n".join(fabfile.not_ready("3.0.0.dev9"))
    for words in (
        "Commit first",
        "is no release",
        "names another version",
        "v3.0.0.dev9 is there",
        "CHANGELOG.rst begins",
    ):
        assert words in faults


def test_the_two_places_of_the_version_agree() -> None:
    version = fabfile.metadata()["version"]
    assert not [line for line in fabfile.not_ready(version) if "another version" in line]
