"""What the package claims is what its tasks test, and its classifiers are known ones."""

import fabfile


def test_the_claimed_djangos_fit_the_dependency() -> None:
    from packaging.requirements import Requirement

    (django,) = [each for each in map(Requirement, fabfile.metadata()["dependencies"]) if each.name == "Django"]
    claimed = fabfile.claimed_djangos()
    assert claimed
    assert all(f"{version}.1" in django.specifier for version in claimed)
    newest = max(tuple(map(int, version.split("."))) for version in claimed)
    assert f"{newest[0] + 1}.0" not in django.specifier


def test_every_lower_bound_becomes_a_pin_within_the_bound() -> None:
    pins = fabfile.lowest_versions()
    assert {"Django~=5.2.0", "pycurl==7.45.6", "cryptography~=44.0"} <= set(pins)
    project = fabfile.metadata()
    bounded = [
        line for line in project["dependencies"] + project["optional-dependencies"]["standalone"] if ">=" in line
    ]
    assert len(pins) == len(bounded)


def test_the_version_is_a_semantic_one_and_the_changelog_has_its_headings() -> None:
    import re

    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", fabfile.metadata()["version"])
    text = (fabfile.ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    headings = re.findall(r"^(.+)\n~+$", text, flags=re.M)
    assert headings
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.search(r"^(Unreleased|\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\))\n-+$", text, flags=re.M)
