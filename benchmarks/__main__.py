"""``python -m benchmarks``: the transfers. ``python -m benchmarks.transfer --help`` names the choices."""

from benchmarks.transfer import main

if __name__ == "__main__":
    main()
