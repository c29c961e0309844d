"""axe-core: the accessibility rules of WCAG 2.2 A and AA, run in the page."""

import os
from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def source() -> str:
    if AXE.exists():
        return AXE.read_text(encoding="utf-8")
    message = "axe-core is missing: run npm install"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


def violations(page) -> list[str]:
    """Return a line for each violation on the page as it stands."""
    page.evaluate(source())
    found = page.evaluate("tags => axe.run(document, {runOnly: tags}).then(r => r.violations)", TAGS)
    nodes = [(one["id"], node) for one in found for node in one["nodes"][:4]]
    return [f"{rule}: {node['target']} {node.get('failureSummary', '')[:300]}" for rule, node in nodes]
