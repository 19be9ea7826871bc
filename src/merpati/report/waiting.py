"""A recipient that still waits: since when, until when, why, and what sets it free."""

import shlex

import msgspec

from merpati.diagnosis.cause import Diagnosis
from merpati.diagnosis.own_words import cause_of, translated
from merpati.diagnosis.texts import explain
from merpati.queue.lifecycle import STOPPED
from merpati.report.shown import shown

_UNKNOWN = "site-down"


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue knows about one recipient of a message. Times are seconds since 1970 UTC."""

    message: str
    address: str
    state: str
    """waiting, in-hand or held."""
    since: float
    due: float
    attempts: int = 0
    site: str = ""
    site_until: float = 0.0
    """The end of the hold on its site; 0 when that may be sent to."""
    site_why: str = ""
    cause: str = ""
    """Why it waits or is held, as a key of `diagnosis`."""

    @property
    def is_kept_back(self) -> bool:
        """Whether its site is on hold."""
        return self.state == "waiting" and self.site_until > 0

    @property
    def next_try(self) -> float:
        """When it is tried again, if nobody does anything."""
        return max(self.due, self.site_until)


_TOLD = {
    "en": {
        "waiting": "Next try for {address}, which waits since {since}",
        "in-hand": "Being delivered to {address} now",
        "held": "On hold for {address} since an operator or a rule said so",
    },
    "id": {
        "waiting": "Percobaan berikutnya untuk {address}, yang menunggu sejak {since}",
        "in-hand": "Sedang diantarkan kepada {address}",
        "held": "Ditahan untuk {address} oleh operator atau sebuah aturan",
    },
}
_HOLD = {
    "en": "site {site} is on hold until {until}: {why}",
    "id": "situs {site} dijeda sampai {until}: {why}",
}
_RESUME = {
    "en": "To try at once, when it is mended: merpati queue resume {site}",
    "id": "Untuk mencoba sekarang, setelah diperbaiki: merpati queue resume {site}",
}


def told(waits: Waits, since: str, language: str) -> str:
    """One sentence; `since` is the time as it is shown."""
    sentences = _TOLD[language]
    sentence = sentences.get(waits.state, sentences["waiting"])
    return sentence.format(address=shown(waits.address), since=since)


def hold(waits: Waits, until: str, language: str) -> str:
    """What is said of the hold on its site."""
    why = translated(waits.site_why, language)
    return _HOLD[language].format(site=shown(waits.site), until=until, why=shown(why))


def diagnosis(waits: Waits, language: str) -> Diagnosis | None:
    """Why it cannot go now; None when only its time has not come."""
    if waits.state == "held":
        return explain(STOPPED if waits.cause == STOPPED else "held", language)
    if not waits.is_kept_back:
        return None
    # A site of a route is called as the route is: `smtp://host:port`, `lmtp:unix:/path`.
    on_a_route = ":" in waits.site
    found = explain(cause_of(waits.site_why, on_a_route=on_a_route) or _UNKNOWN, language)
    resume = _RESUME[language].format(site=shown(shlex.quote(waits.site)))
    return Diagnosis(found.cause, found.fault, found.summary, f"{found.advice} {resume}")
