#!/usr/bin/python3
"""The documentation portal: the pages of docs/, the READMEs of all modules and of testnet, and the reference of all headers, in
build/docs/site.

PlantUML blocks become pictures. Nothing is fetched: mkdocs-material, doxygen and plantuml come from Debian.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/docs"
PAGES = OUT / "pages"
UML = re.compile(r"```plantuml\n(.*?)```", re.S)
LAYER_ORDER = re.compile(r"^\|\s*\d+\s*\|([^|]*)\|", re.M)


def modules():
    """The modules that have a README, from the top layer down."""
    table = (ROOT / "docs/architecture.md").read_text().split("### Inside")[0]
    names = [name for row in LAYER_ORDER.findall(table) for name in re.findall(r"`(\w+)`", row)]
    return [name for name in names if (ROOT / "src" / name / "README.md").exists()]


def sources():
    """Each page: where it comes from, and where it goes."""
    pages = {ROOT / "README.md": "index.md", ROOT / "CONTRIBUTING.md": "CONTRIBUTING.md", ROOT / "CHANGELOG.md": "CHANGELOG.md"}
    pages |= {page: f"docs/{page.relative_to(ROOT / 'docs')}" for page in sorted((ROOT / "docs").rglob("*.md"))}
    pages |= {ROOT / "src" / module / "README.md": f"src/{module}/README.md" for module in modules()}
    pages |= {page: str(page.relative_to(ROOT)) for page in sorted((ROOT / "testnet").rglob("README.md"))}
    return pages


def picture(uml):
    name = hashlib.sha256(uml.encode()).hexdigest()[:16]
    source = PAGES / "uml" / f"{name}.puml"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(uml if "@startuml" in uml else f"@startuml\n{uml}@enduml\n")
    return source


def draw(pictures):
    """All pictures in one start of the Java machine; an error in any of them is an error."""
    if not pictures:
        return
    run = subprocess.run(["plantuml", "-tsvg", "-charset", "UTF-8", *map(str, pictures)], capture_output=True, text=True,
                         env=dict(os.environ, JAVA_TOOL_OPTIONS="-Djava.awt.headless=true"))
    broken = [p for p in pictures if not p.with_suffix(".svg").exists() or "Syntax Error" in p.with_suffix(".svg").read_text()]
    if run.returncode != 0 or broken:
        sys.exit(f"plantuml: {run.stdout}{run.stderr}\n" + "\n\n".join(p.read_text() for p in broken))
    for source in pictures:
        source.unlink()


def write_pages():
    pictures = []
    for source, target in sources().items():
        page = PAGES / target
        page.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(pathlib.PurePosixPath(target).parts) - 1)

        def replace(match, up=up):
            pictures.append(picture(match.group(1)))
            return f"![]({up}uml/{pictures[-1].stem}.svg)\n"

        text = UML.sub(replace, source.read_text())
        if source == ROOT / "README.md":
            text = text.replace("(LICENSE)", "(https://www.apache.org/licenses/LICENSE-2.0)")
        page.write_text(text)
    draw(pictures)
    return len(pictures)


def mkdocs():
    nav = ["  - Start: index.md", "  - Architecture: docs/architecture.md",
           "  - With other implementations: docs/interop.md", "  - Modules:"]
    nav += [f"      - {module}: src/{module}/README.md" for module in modules()]
    nav += ["  - Contributing: CONTRIBUTING.md", "  - Changelog: CHANGELOG.md", "  - Reference: reference.md"]
    (PAGES / "reference.md").write_text("# Reference\n\nEvery header, as doxygen reads it: [files](reference/files.html), "
                                        "[classes](reference/annotated.html).\n")
    config = OUT / "mkdocs.yml"
    config.write_text("\n".join([
        "site_name: nunet", f"docs_dir: {PAGES}", f"site_dir: {OUT / 'site'}", "use_directory_urls: false",
        "theme:", "  name: material", "  font: false", "  features: [navigation.sections, navigation.top]",
        "markdown_extensions: [admonition, tables, toc, fenced_code]", "plugins: [search]", "nav:", *nav]) + "\n")
    run = subprocess.run(["mkdocs", "build", "--quiet", "--config-file", str(config)], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"mkdocs: {run.stdout}{run.stderr}")


def doxygen():
    settings = {
        "PROJECT_NAME": "nunet", "INPUT": ROOT / "src", "RECURSIVE": "YES", "FILE_PATTERNS": "*.hpp", "EXTRACT_ALL": "YES",
        "OUTPUT_DIRECTORY": OUT, "HTML_OUTPUT": "reference", "GENERATE_LATEX": "NO", "QUIET": "YES", "WARNINGS": "NO",
        "STRIP_FROM_PATH": ROOT / "src", "MARKDOWN_SUPPORT": "YES", "JAVADOC_AUTOBRIEF": "YES", "HAVE_DOT": "NO",
        "EXCLUDE_SYMBOLS": "*::detail*",
    }
    text = "".join(f"{key} = {value}\n" for key, value in settings.items())
    run = subprocess.run(["doxygen", "-"], input=text, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"doxygen: {run.stdout}{run.stderr}")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    PAGES.mkdir(parents=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        reference = pool.submit(doxygen)
        pictures = write_pages()
        mkdocs()
        reference.result()
    shutil.move(OUT / "reference", OUT / "site/reference")
    print(f"{len(sources())} pages, {pictures} pictures: {OUT / 'site/index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
