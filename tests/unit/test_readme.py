"""What the README and the documents show and list must be so."""

import re
import subprocess
import sys
from pathlib import Path

from chatorch.entrypoints.common import failures

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NEVER_ANSWERED = {"too_many", "username_taken", "hosted_not_found"}
"""A root, one of the command line, and one that becomes `not_found` on the way."""


def test_the_example_of_the_domain_alone_streams_an_answer():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-"], input=example, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    kinds = re.findall(r"^(\w+)\(", done.stdout, re.MULTILINE)
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunCompleted")
    assert "".join(re.findall(r"text='(.*?)'", done.stdout)) == "NOTHING IS LOST "


def test_every_file_that_the_documents_link_to_is_there():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_every_heading_that_the_readme_links_to_is_there():
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.*)", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_every_make_target_that_the_documents_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"^make ([a-z]+)|`make ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M)
    )
    assert {name for pair in named for name in pair if name} <= targets


def test_the_commands_that_make_run_prints_are_those_of_the_quick_start():
    printing = ["make", "--silent", "--eval", 'next:;@printf "%s\\n" "$$NEXT"', "next"]
    printed = subprocess.run(printing, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    adding, signing_in, asking = re.split(r"^  (?! )", printed, flags=re.MULTILINE)[1:]
    quick_start = re.sub(r"\s+", " ", README)
    assert re.sub(r"\s+", " ", adding) in quick_start
    assert re.sub(r"\s+", " ", signing_in) in quick_start
    assert [line[-2:] for line in asking.strip().split("\n")] == [" \\", " \\", "}'"]


def test_every_code_that_an_error_may_have_is_in_its_document_with_its_status():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    told = {code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    ours = failures._statuses_by_code() | {code: status for status, (code, _) in failures.HTTP_ERRORS.items()}
    answered = {code: status for code, status in ours.items() if code not in NEVER_ANSWERED}
    assert answered.items() <= told.items()
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert [code for code in told if f'"{code}"' not in source] == []


def test_every_decision_is_in_the_index_in_order_under_its_own_heading():
    folder = ROOT / "docs" / "adr"
    indexed = re.findall(
        r"^\| \[(\d{4})\]\(([\w-]+\.md)\) \| (.*) \|$", (folder / "README.md").read_text("utf-8"), re.M
    )
    headings = [path.read_text(encoding="utf-8").split("\n", 1)[0] for path in sorted(folder.glob("0*.md"))]
    assert [name for _, name, _ in indexed] == sorted(path.name for path in folder.glob("0*.md"))
    assert [f"# {number} {title}" for number, _, title in indexed] == headings
