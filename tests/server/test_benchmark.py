"""The benchmark of the pages writes its page of the documentation."""

from argparse import Namespace

from benchmarks.pages import Measured
from benchmarks.pages_table import page
from benchmarks.pages_watchers import Watched


def test_the_results_become_a_page(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["pages", "--database", "postgresql://there/x", "--output", "/tmp/out/pages.rst"])
    pages = [Measured("log, one user", "/log/", 5, [10.0, 20.0, 30.0], 51.4, 110.6), Measured("login", "/", 0, [1, 2])]
    seen = Watched(100, 30.0, 1500, 3, 0, 0.061, 2.0, 9.0)
    text = page(pages, seen, Namespace(services=1000, deploys=1_000_000, turns=3))
    assert '"log, one user"' in text
    assert "1,000 services, 1,000,000 deploys" in text
    assert "web process 6.1 % of one core" in text
    assert "there" not in text
    assert "/tmp" not in text
