"""Copy the dashboard's front-end files from ``node_modules`` into the package: ``python assets.py`` or ``fab assets``.

The result is committed, so a site needs neither npm nor a CDN. Two things are changed on the way, both so that the
pages work under ``default-src 'self'``: pictures that a style sheet carries as ``data:`` URIs become files beside it,
and of the icons only those that the pages use are put into one SVG sprite.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
VENDOR = HERE / "ftp_deploy/server/static/ftp_deploy/vendor"
TESTED = HERE / "tests/server/vendor/axe-core"

FILES = {
    "bootstrap": ["dist/css/bootstrap.min.css", "dist/js/bootstrap.bundle.min.js", "LICENSE"],
    "chart.js": ["dist/chart.umd.min.js", "LICENSE.md"],
    "htmx.org": ["dist/htmx.min.js", "LICENSE"],
    "idiomorph": ["dist/idiomorph.min.js", "LICENSE"],
    "tom-select": ["dist/css/tom-select.bootstrap5.min.css", "dist/js/tom-select.complete.min.js", "LICENSE"],
    "bootstrap-icons": ["LICENSE"],
}
ICONS = [
    "arrow-clockwise",
    "arrow-counterclockwise",
    "arrow-left",
    "arrow-repeat",
    "arrow-right",
    "arrow-up-right",
    "bar-chart-line",
    "bell",
    "box-arrow-right",
    "box-arrow-up-right",
    "calendar3",
    "check-circle-fill",
    "check-lg",
    "check2-circle",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "circle",
    "circle-half",
    "clock",
    "clock-history",
    "cloud-arrow-up",
    "copy",
    "dash-circle",
    "dash-circle-fill",
    "dash-lg",
    "download",
    "exclamation-triangle-fill",
    "eye-slash",
    "file-earmark-diff",
    "file-earmark-minus",
    "file-earmark-plus",
    "files",
    "folder2",
    "folder2-open",
    "funnel",
    "gear",
    "gear-wide-connected",
    "git",
    "github",
    "gitlab",
    "grid-1x2",
    "hdd-network",
    "hourglass-split",
    "inbox",
    "info-circle",
    "journal-text",
    "key",
    "layers",
    "lightning-charge",
    "link-45deg",
    "list",
    "moon-stars",
    "pause-fill",
    "pencil",
    "people",
    "person",
    "person-circle",
    "plug",
    "plus-lg",
    "question-circle",
    "rocket-takeoff",
    "search",
    "send",
    "shield-check",
    "shield-lock",
    "skip-forward-fill",
    "slash-circle",
    "speedometer2",
    "stop-circle",
    "sun",
    "three-dots",
    "trash3",
    "x-circle-fill",
    "x-lg",
]
DATA_URI = re.compile(r"""url\((["']?)data:image/svg\+xml(?:;charset=[\w-]+)?,(.+?)\1\)""")
SOURCE_MAP = re.compile(r"\n?(/\*# sourceMappingURL=.*?\*/|//# sourceMappingURL=.*)\s*$")


def install() -> None:
    """Run npm. Raises ``CalledProcessError`` where it fails."""
    subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=HERE, check=True)


def pictures_to_files(css: str, folder: Path) -> str:
    """Write each ``data:`` picture of a style sheet into ``folder/img`` and return the sheet pointing there."""
    names: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        picture = unquote(match[2])
        name = names.setdefault(picture, f"{len(names) + 1:02}.svg")
        (folder / "img").mkdir(exist_ok=True)
        (folder / "img" / name).write_text(picture + "\n")
        return f'url("img/{name}")'

    return DATA_URI.sub(replace, css)


def copy(package: str, files: list[str]) -> None:
    """Copy the files of one package, without source map references."""
    folder = VENDOR / package
    folder.mkdir(parents=True)
    for file in files:
        text = (MODULES / package / file).read_text(encoding="utf-8")
        text = SOURCE_MAP.sub("\n", text)
        if file.endswith(".css"):
            text = pictures_to_files(text, folder)
        (folder / Path(file).name).write_text(text, encoding="utf-8")


def sprite() -> None:
    """Write the icons that the pages use as one file of symbols."""
    symbols = []
    for name in sorted(ICONS):
        svg = (MODULES / "bootstrap-icons/icons" / f"{name}.svg").read_text(encoding="utf-8")
        inner = re.sub(r"\s+", " ", svg[svg.index(">") + 1 : svg.rindex("</svg>")]).strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 16 16">{inner}</symbol>')
    text = '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"
    (VENDOR / "bootstrap-icons/icons.svg").write_text(text, encoding="utf-8")


def main() -> None:
    """Install and copy everything."""
    if "--no-install" not in sys.argv:
        install()
    shutil.rmtree(VENDOR, ignore_errors=True)
    for package, files in FILES.items():
        copy(package, files)
    sprite()
    for file in ("axe.min.js", "LICENSE"):
        shutil.copyfile(MODULES / "axe-core" / file, TESTED / file)
    size = sum(path.stat().st_size for path in VENDOR.rglob("*") if path.is_file())
    sys.stdout.write(f"{VENDOR.relative_to(HERE)}: {size // 1024} kB\n")


if __name__ == "__main__":
    main()
