"""axe-core: the accessibility rules of WCAG 2.2 A and AA, run in the page."""

from pathlib import Path

AXE = Path(__file__).with_name("vendor") / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page) -> list[str]:
    """Return a line for each violation on the page as it stands."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("tags => axe.run(document, {runOnly: tags}).then(r => r.violations)", TAGS)
    nodes = [(one["id"], node) for one in found for node in one["nodes"][:4]]
    return [f"{rule}: {node['target']} {node.get('failureSummary', '')[:300]}" for rule, node in nodes]
