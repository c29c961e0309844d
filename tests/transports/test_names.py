"""The last door: what may stand in a command."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftp_deploy.exceptions import UnsafePath
from ftp_deploy.transports.names import check, join, normal_root
from tests.transports.contract import ODD_NAMES, UNSAFE_NAMES


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_pass_unchanged(name: str) -> None:
    assert check(f"a/{name}") == f"a/{name}"


@pytest.mark.parametrize("name", [*UNSAFE_NAMES, "", "..", "a/..", "a/.", "a/\x85", "b" * 5000], ids=ascii)
def test_unsafe_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        check(name)
    assert caught.value.advice
    assert not any(ord(character) < 32 for character in str(caught.value))


@given(st.text())
def test_whatever_passes_is_one_line_below_the_root(text: str) -> None:
    try:
        path = join("/root", text)
    except UnsafePath:
        return
    assert path == "/root" or path.startswith("/root/")
    assert not set(path) & set("\r\n\0")
    assert ".." not in path.split("/")
    assert len(path.encode().split(b"\n")) == 1


@pytest.mark.parametrize(
    ("path", "login", "root"),
    [
        ("/", "/", ""),
        ("", "/", ""),
        ("", "/home/u", "/home/u"),
        ("/a//b/", "/", "/a/b"),
        ("public_html", "/", "/public_html"),
        ("./public_html/", "/home/u", "/home/u/public_html"),
        ("/abs", "/home/u", "/abs"),
    ],
)
def test_roots(path: str, login: str, root: str) -> None:
    assert normal_root(path, login) == root


@pytest.mark.parametrize("path", ["/a/../b", "..", "/a\r\nDELE x", "/" + "x" * 256])
def test_unsafe_roots(path: str) -> None:
    with pytest.raises(UnsafePath, match="path"):
        normal_root(path)


def test_ascii_stays() -> None:
    assert check(string.ascii_letters + string.digits) == string.ascii_letters + string.digits
