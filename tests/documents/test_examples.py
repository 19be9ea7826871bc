"""The examples in README and docs hold: they are parsed, checked and, where marked, run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from merpati.cli.main import merpati
from merpati.config.settings import load
from merpati.testing.process import free_port
from tests.cases import Test, each

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"(<!-- run -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)
_PIPES = {"|", "&&", "||", ";", "&", ">", "<", "2>&1"}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced example."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool
    """Marked: its commands are run and their output is compared."""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def of(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], found[3], found[1] is not None)


BLOCKS = [block for page in PAGES for block in of(page)]


def every(*languages: str) -> Callable[[Test], Test]:
    """The test looks at each example in these languages."""
    chosen = [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]
    return each("block", chosen)


def commands(block: Block) -> Iterator[list[str]]:
    """Every call of merpati in a shell example, as words."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        words = shlex.split(line.removeprefix("$ "), comments=True)
        for n, word in enumerate(words):
            if Path(word).name == "merpati" and (
                n == 0 or words[n - 1] in {*_PIPES, "exec", "sudo"}
            ):
                yield list(_until_pipe(words[n + 1 :]))


def _until_pipe(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in _PIPES:
            return
        yield word.removesuffix(";")
        if word.endswith(";"):
            return


def test_there_are_examples_in_every_language() -> None:
    assert {"sh", "console", "toml", "python"} <= {block.language for block in BLOCKS}


@every("sh", "console")
def test_every_merpati_command_exists_with_its_options(block: Block) -> None:
    for words in commands(block):
        command: click.Command = merpati
        context = click.Context(merpati, info_name="merpati")
        while True:
            values, rest, _ = command.make_parser(context).parse_args(list(words))
            if not isinstance(command, click.Group) or not rest or "help" in values:
                break
            _, found, words = command.resolve_command(context, rest)
            assert found is not None, f"{block}: {rest}"
            command, context = found, click.Context(found, parent=context)


@pytest.mark.slow
@every("sh")
def test_the_shell_accepts_every_script(block: Block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{block}: {done.stderr}"


@every("toml")
def test_every_configuration_is_good(block: Block, tmp_path: Path) -> None:
    file = tmp_path / f"{block}.toml"
    file.write_text(block.text, "utf-8")
    load(file)


@every("python")
def test_every_program_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@each("page", PAGES)
def test_links_lead_to_a_heading_that_exists(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf-8")):
        there = page.parent / target if target else page
        headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.M)
        anchors = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
        assert anchor in anchors, f"{page.name}: {target}#{anchor}"


class Session:
    """One shell in an empty directory that lives through the marked examples of a page."""

    def __init__(self, page: Path, folder: Path) -> None:
        blocks = list(of(page))
        self._blocks = [block for block in blocks if block.is_run]
        self._ports = {
            port: str(free_port())
            for port in re.findall(r"127\.0\.0\.1:(\d+)", "".join(map(_told, blocks)))
        }
        self._folder = folder
        file = next(block for block in blocks if block.language == "toml")
        (folder / "merpati.toml").write_text(self._here(file.text), "utf-8")

    def _here(self, text: str) -> str:
        """With ports that are free now."""
        given = re.compile(r"(127\.0\.0\.1\]?:)(\d+)")
        return given.sub(lambda found: found[1] + self._ports[found[2]], text)

    def steps(self) -> list[tuple[str, str]]:
        """Each command and what the page says that it prints."""
        found = []
        for block in self._blocks:
            for step in re.split(r"^\$ ", self._here(block.text), flags=re.M)[1:]:
                command, _, output = step.partition("\n")
                found.append((command, output))
        return found

    def run(self) -> list[str]:
        """What each command of the page prints here."""
        mark = "---- next ----"
        script = self._folder / "script"
        lines = [f"{command}\n{self._wait(command)}echo {mark}" for command, _ in self.steps()]
        script.write_text("\n".join(["trap 'kill $(jobs -p) 2>&-' EXIT", *lines]), "utf-8")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", str(script)],
            cwd=self._folder, env={"PATH": path, "HOME": str(self._folder), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=280, check=False,
        )  # fmt: skip
        return done.stdout.split(f"{mark}\n")[:-1]

    def _wait(self, command: str) -> str:
        """A server takes the time it takes to start, whatever the page says."""
        if not command.endswith("&"):
            return ""
        door = f"/dev/tcp/127.0.0.1/{next(iter(self._ports.values()))}"
        return f"for n in {{1..900}}; do (: > {door}) 2>&- && break; sleep 0.1; done\n"


def _told(block: Block) -> str:
    return block.text if block.language in {"toml", "console"} else ""


# What differs from run to run, and what stands for it.
_VARYING = [
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "ID"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "DATE"),
    (r"\b\d\d:\d\d:\d\d\b", "CLOCK"),
    (r"\d+ octets", "N octets"),
    (r"\d+\.\d s\b", "N s"),
    (r"SIZE=\d+|BDAT \d+", "SIZE"),
]


def steady(text: str) -> str:
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", sorted({block.page for block in BLOCKS if block.is_run}), ids=lambda page: page.name
)
def test_commands_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    session = Session(page, tmp_path)
    printed = session.run()
    for (command, told), output in zip(session.steps(), printed, strict=True):
        assert steady(output) == steady(told), f"{page.name}: {command}"
