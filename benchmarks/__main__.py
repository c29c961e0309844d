"""``python -m benchmarks``: the transfers. ``python -m benchmarks pages`` and ``load``: the dashboard, the queue."""

import sys
from importlib import import_module

PARTS = ("transfer", "load", "pages")


def main() -> None:
    """Run the part that the first argument names, with the other arguments; ``--help`` names its choices."""
    part = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in PARTS else PARTS[0]
    import_module(f"benchmarks.{part}").main()


if __name__ == "__main__":
    main()
