"""What the documents claim holds."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent
STANDARDS = runpy.run_path(str(ROOT / "docs/standards.py"))


def test_the_page_of_standards_is_up_to_date() -> None:
    assert STANDARDS["PAGE"].read_text("utf-8") == STANDARDS["page"](), (
        "run: python docs/standards.py"
    )


def test_every_claimed_rfc_is_cited_where_it_is_decided() -> None:
    cited = STANDARDS["citations"]()
    assert not [number for number in STANDARDS["CLAIMED"] if number not in cited]


def test_no_standard_is_called_done_without_a_test() -> None:
    assert not STANDARDS["untested"]()


def test_every_test_that_the_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    names = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert names
    for path, test in names:
        source = (ROOT / path).read_text("utf-8")
        assert f"def {test}" in source, f"{path}::{test}"


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
