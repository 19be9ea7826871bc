"""The tables of the manual name what there is, all of it and nothing else."""

import re
import typing
from collections.abc import Mapping
from pathlib import Path

from merpati.config.document import Document
from merpati.config.settings import load
from merpati.diagnosis.replies import Refusal
from merpati.journal.events import Event
from merpati.journal.limits import Limits
from merpati.policy.limit import Limit
from merpati.report.metrics import Metrics, exposition
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal

DOCS = Path(__file__).parents[2] / "docs"


def first_column(page: str, heading: str) -> set[str]:
    """The words in the first column of the table with this heading."""
    table = (DOCS / page).read_text("utf-8").partition(f"| {heading} |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert cells, f"{page} has no table with the heading {heading}"
    return {word.strip("` ") for cell in cells for word in cell.split(",")}


def test_every_kind_of_event_is_explained() -> None:
    kinds = {kind.__struct_config__.tag for kind in typing.get_args(Event)}
    assert first_column("operating.md", "`kind`") == kinds


async def test_every_metric_is_explained() -> None:
    async def nothing() -> Mapping[str, float]:
        return {}

    plain = ("sites_held", "wal_octets", "log_lines_dropped", "in_hand_octets", "reports_left_out")
    labelled = {
        ("queue_recipients", "", "state"): nothing,
        ("connections_open", "", "role"): nothing,
        ("reports_waiting", "", "kind"): nothing,
        ("disk_octets", "", "what"): nothing,
        ("limits_hit", "", "limit"): nothing,
        ("sts_policies", "", "of"): nothing,
    }
    gauges = labelled | {(name, "", ""): nothing for name in plain}
    page = exposition(await Metrics(gauges).series()).decode()
    told = set(re.findall(r"^# TYPE (\w+)", page, re.M)) | {"merpati_worker_up"}  # Of the node.
    assert first_column("operating.md", "metric") == told


def test_every_class_of_refusal_is_explained() -> None:
    assert first_column("delivery.md", "class") == {refusal.value for refusal in Refusal}


def test_every_limit_is_listed_by_its_name() -> None:
    text = (DOCS / "reliability.md").read_text("utf-8")
    [listed] = re.findall(
        r"^Those of `merpati.toml` are called as there: (.*?)\. In front", text, re.M | re.S
    )
    assert {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", listed)} == limit_names()


def limit_names() -> set[str]:
    limits = Limits(MemoryJournal(), VirtualClock(), told=0)
    limits.starved(OSError(0, "REASON"))
    limits.may_tell("refused by RULE")
    return {limit.value for limit in Limit} | set(limits.totals)


def test_the_times_of_the_queue_are_the_defaults(tmp_path: Path) -> None:
    text = (DOCS / "delivery.md").read_text("utf-8")
    file = tmp_path / "merpati.toml"
    file.write_text(re.findall(r"^```toml\n(\[queue\]\n.*?)^```", text, re.M | re.S)[0], "utf-8")
    assert load(file).document.queue == Document().queue
