"""What is kept of records for which there is no room."""

from merpati.authenticity.seen import Seen
from merpati.policy.exhibit import Exhibit, Rank, fit
from tests.cases import each


def of(rank: Rank, size: int, name: str = "") -> Exhibit:
    return Exhibit(rank, Seen.of(name, b"x" * size), is_named=bool(name))


@each(
    ("exhibits", "room", "kept"),
    [
        ([], 0, []),
        ([of(Rank.DECISIVE, 100)], 100, [100]),
        ([of(Rank.DECISIVE, 101)], 100, [100]),
        ([of(Rank.DECISIVE, 30), of(Rank.DECISIVE, 500)], 100, [30, 70]),
        ([of(Rank.DECISIVE, 500), of(Rank.DECISIVE, 500)], 100, [50, 50]),
        # A name takes room, too, and a record of which nothing would be left goes with its name.
        ([of(Rank.DECISIVE, 500), of(Rank.DECISIVE, 500, "n" * 20)], 130, [65, 45]),
        ([of(Rank.DECISIVE, 500), of(Rank.DECISIVE, 500, "n" * 30)], 130, [65, None]),
        # The others are kept whole or not at all, by their ranks and then in their order.
        ([of(Rank.BESIDE, 60), of(Rank.ON_THE_WAY, 60), of(Rank.BESIDE, 40)], 100, [None, 60, 40]),
        ([of(Rank.PROVED, 50), of(Rank.SECOND, 50), of(Rank.DECISIVE, 40)], 100, [None, 50, 40]),
        ([of(Rank.BESIDE, 90, "n" * 9), of(Rank.BESIDE, 90, "n" * 11)], 100, [90, None]),
        ([of(Rank.DECISIVE, 5000)], 2100, [2069]),
    ],
)
def test_what_is_kept(exhibits: list[Exhibit], room: int, kept: list[int | None]) -> None:
    texts = fit(exhibits, room)
    assert [text and len(text) for text in texts] == kept
    for text, one in zip(texts, exhibits, strict=True):
        if text and len(text) < one.seen.size:
            assert text.endswith(f"x... ({one.seen.size} characters)")
