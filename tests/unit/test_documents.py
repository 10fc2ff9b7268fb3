"""What the documents say of options, actions and statuses is so, and their links lead somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import charm_reference

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("terraform/*.md")],
)
CHARMCRAFT: dict[str, Any] = yaml.safe_load((ROOT / "charm/charmcraft.yaml").read_text())
OPTIONS, ACTIONS = set(CHARMCRAFT["config"]["options"]), set(CHARMCRAFT["actions"])


def test_the_reference_is_made_from_charmcraft_yaml_as_it_is_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert charm_reference.main(["--check"]) == 0, capsys.readouterr().err


def test_a_reference_that_is_old_is_noticed_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(charm_reference, "ROOT", tmp_path)
    monkeypatch.setattr(charm_reference, "REFERENCE", tmp_path / "reference")
    assert charm_reference.main(["--check"]) == 1
    assert not (tmp_path / "reference").exists()
    assert capsys.readouterr().err.count("is old") == 2
    charm_reference.main([])
    assert charm_reference.main(["--check"]) == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_juju_is_told_in_a_document_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    if "juju" not in text:
        return
    assert set(options_set(text)) <= OPTIONS
    assert set(re.findall(r"juju run \S+/\d+ ([a-z-]+)", text)) <= ACTIONS


def options_set(text: str) -> Iterator[str]:
    """Find the options that commands of Juju's set or reset."""
    for words in re.findall(r"juju config (?!github-runner)\S+ ([^\n`]*)", text):
        yield from re.findall(r"(?<![\w=-])([a-z][a-z-]*)=(?!=)", words)
        yield from re.findall(r"[a-z-]+", "".join(re.findall(r"--reset (\S+)", words)))
    yield from re.findall(r"--config ([a-z-]+)=", text)


def test_options_in_commands_are_found() -> None:
    text = "juju config runners vm-cpu=2 policy-package=a-b==1 --reset token,path\n--config group=x"
    assert list(options_set(text)) == ["vm-cpu", "policy-package", "token", "path", "group"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_what_is_there(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (heading and heading not in headings(target)):
            missing.append(link)
    assert missing == []


@cache
def headings(document: Path) -> set[str]:
    """Give the names by which GitHub shows a document's headings."""
    lines = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", lines, re.MULTILINE)
    shown = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in shown}


def statuses() -> list[str]:
    """Read the statuses that are explained to operators."""
    text = (ROOT / "docs/charm/how-to/troubleshoot.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| status \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([^`]+)` \|", "".join(tables), re.MULTILINE)


@cache
def sentences() -> tuple[str, ...]:
    """Collect what the charm can say, with … in the place of what differs."""
    made = []
    for path in sorted((ROOT / "charm/src").glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                made.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                made.append(node.value)
    return tuple(text.replace("`", "") for text in made)


@pytest.mark.parametrize("status", statuses())
def test_a_status_that_is_explained_is_one_that_the_charm_has(status: str) -> None:
    said = sentences()
    for words in filter(None, re.split(r"[:;\s]*…[;,. ]*", status)):
        assert any(words in sentence for sentence in said), words


def test_many_statuses_are_explained() -> None:
    assert len(statuses()) > 20


def test_each_relation_and_storage_stands_in_the_reference() -> None:
    reference = ROOT / "docs/charm/reference"
    relations = {**CHARMCRAFT["provides"], **CHARMCRAFT["requires"]}
    rows = re.findall(
        r"^\| `([a-z-]+)` \| `(\w|[\w-]+)` \|", text_of(reference, "integrations"), re.MULTILINE
    )
    assert dict(rows) == {name: relation["interface"] for name, relation in relations.items()}
    stores = re.findall(
        r"^\| `([a-z-]+)` \| filesystem \| `([^`]+)`", text_of(reference, "storage"), re.MULTILINE
    )
    assert dict(stores) == {
        name: store["location"] for name, store in CHARMCRAFT["storage"].items()
    }


def text_of(directory: Path, name: str) -> str:
    return (directory / f"{name}.md").read_text(encoding="utf-8")


class TestTheTerraformModule:
    """Its files agree with charmcraft.yaml and with its own page."""

    module = ROOT / "terraform"

    def blocks(self, file: str, kind: str) -> dict[str, str]:
        """Read a file's blocks of a kind, by name; they are laid out as `terraform fmt` does."""
        text = (self.module / file).read_text(encoding="utf-8")
        return dict(re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL))

    @pytest.mark.parametrize("side", ["provides", "requires"])
    def test_its_endpoints_are_the_charms(self, side: str) -> None:
        value = self.blocks("outputs.tf", "output")[side]
        endpoints = dict(re.findall(r'^ {4}(\w+) += "([\w-]+)"$', value, re.MULTILINE))
        wanted = {relation["interface"]: name for name, relation in CHARMCRAFT[side].items()}
        assert {key.replace("-", "_"): name for key, name in wanted.items()} == endpoints

    def test_it_deploys_this_charm_to_a_base_that_it_is_built_for(self) -> None:
        assert f'name     = "{CHARMCRAFT["name"]}"' in (self.module / "main.tf").read_text()
        bases = {platform.rpartition(":")[0] for platform in CHARMCRAFT["platforms"]}
        base = self.blocks("variables.tf", "variable")["base"]
        assert set(re.findall(r'"(ubuntu@[\d.]+)"', base)) == bases

    def test_it_has_the_charms_storage(self) -> None:
        directives = self.blocks("variables.tf", "variable")["storage_directives"]
        assert [f'name == "{name}"' in directives for name in CHARMCRAFT["storage"]] == [True]

    def test_all_that_it_takes_is_used_and_explained(self) -> None:
        names = set(self.blocks("variables.tf", "variable"))
        assert names == set(re.findall(r"var\.(\w+)", (self.module / "main.tf").read_text()))
        page = text_of(self.module, "README").partition("| output |")[0]
        cells = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
        assert names == {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    def test_all_that_it_gives_is_explained(self) -> None:
        page = text_of(self.module, "README").partition("| output |")[2]
        assert set(self.blocks("outputs.tf", "output")) == set(
            re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
        )

    def test_an_example_in_its_page_sets_options_that_are_there(self) -> None:
        page = text_of(self.module, "README")
        config = re.findall(r"config = \{\n(.*?)\n  \}", page, re.DOTALL)[0]
        assert set(re.findall(r"^ +([\w-]+) +=", config, re.MULTILINE)) <= OPTIONS
