"""What many reports say together, asked of their rows. `total` and not `sum`: what strangers
count may be larger than an integer, and an answer is not refused for it."""

from collections.abc import Sequence

import apsw

from merpati.feedback.sums import Alignment, Fault, Sessions, Source
from merpati.storage.rows import rows

_MAX_SESSIONS = 100
"""Pairs of a domain and a policy in one answer."""
_MAX_NAMED = 20
_MAX_REPORTERS = 10
_COUNTED = "r.kind = 'dmarc' AND r.until > ?2 AND r.proof <> 'failed'"
_ABOUT = {False: "r.domain = ?1", True: "?1 = ''"}
"""By whether all domains are asked for: an index has only the first."""


def _count(condition: str) -> str:
    return f"CAST(total(CASE WHEN {condition} THEN s.messages END) AS INTEGER)"


_FAILED = "NOT (s.dkim OR s.spf)"
_SOURCES = f"""
SELECT r.domain, s.ip, {_count("1")}, {_count("s.dkim")}, {_count("s.spf")},
  {_count("s.dkim OR s.spf")}, {_count("s.disposition = 'quarantine'")},
  {_count("s.disposition = 'reject'")}, {_count(f"{_FAILED} AND s.forwarded")},
  coalesce(max(CASE WHEN {_FAILED} THEN s.signer END), ''),
  coalesce(max(CASE WHEN {_FAILED} THEN s.envelope END), ''),
  count(DISTINCT r.author), max(r.until)
FROM report r JOIN source s ON s.report = r.number WHERE {_COUNTED} AND %s
GROUP BY r.domain, s.ip ORDER BY {_count(_FAILED)} DESC, 3 DESC, r.domain, s.ip LIMIT ?3
"""  # noqa: S608 - constants
_ALIGNMENT = f"""
SELECT CAST(total(r.total) AS INTEGER), CAST(total(r.total - r.failed) AS INTEGER), count(*),
  coalesce(min(r.begin), 0.0), coalesce(max(r.until), 0.0)
FROM report r WHERE {_COUNTED} AND r.domain = ?1
"""  # noqa: S608 - constants
# Of all sources and not of the worst: forgers are many, and would hide the one that is ours.
_DOUBTFUL = f"""
SELECT CAST(total(failed) AS INTEGER) FROM (
  SELECT {_count(_FAILED)} AS failed, {_count("s.dkim OR s.spf")} AS passed,
    {_count(f"{_FAILED} AND s.forwarded")} AS forwarded,
    max({_FAILED} AND s.signer || s.envelope <> '') AS is_elsewhere
  FROM report r JOIN source s ON s.report = r.number WHERE {_COUNTED} AND r.domain = ?1
  GROUP BY s.ip
) WHERE passed > 0 OR (is_elsewhere AND forwarded < failed)
"""  # noqa: S608 - constants
_REPORTERS = f"""
SELECT r.author FROM report r WHERE {_COUNTED} AND r.domain = ?1
GROUP BY r.author ORDER BY total(r.total) DESC, r.author LIMIT {_MAX_REPORTERS}
"""  # noqa: S608 - constants
_UNPROVEN = (
    "SELECT count(*) FROM report WHERE kind = 'dmarc' AND until > ? AND proof = 'failed' "
    "AND domain = ?"
)
_OF_TLS = (
    "FROM report r JOIN tls_sessions s ON s.report = r.number "
    "{fault} WHERE r.until > ? AND r.proof <> 'failed'"
)
_SESSIONS = (
    "SELECT s.domain, s.policy, CAST(total(s.succeeded) AS INTEGER), "
    "CAST(total(s.failed) AS INTEGER), count(DISTINCT r.author) "
    + _OF_TLS.format(fault="")
    + " AND ? IN ('', s.domain) GROUP BY s.domain, s.policy ORDER BY total(s.failed) DESC, "
    f"s.domain, s.policy LIMIT {_MAX_SESSIONS}"
)
_FAULTS = (
    "SELECT f.result, CAST(total(f.failed) AS INTEGER), f.host, f.reason, "
    "count(DISTINCT r.author), max(r.until) "
    + _OF_TLS.format(fault="JOIN tls_fault f ON f.report = r.number AND f.sessions = s.n")
    + " AND s.domain = ? AND s.policy = ? GROUP BY f.result, f.host, f.reason "
    f"ORDER BY total(f.failed) DESC, f.result, f.host LIMIT {_MAX_NAMED}"
)


class SumRows:
    """Over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def sources(self, domain: str, since: float, most: int) -> list[Source]:
        """See `Feedback`."""
        query = _SOURCES % _ABOUT[not domain]
        return [Source(*row) for row in rows(self._connection, query, (domain, since, most))]

    def alignment(self, domain: str, since: float) -> Alignment:
        """See `Feedback`."""
        asked = (domain, since)
        messages, passed, reports, first, last = rows(self._connection, _ALIGNMENT, asked)[0]
        failing = [one for one in self.sources(domain, since, _MAX_NAMED) if one.failed]
        return Alignment(
            domain,
            messages,
            passed,
            rows(self._connection, _DOUBTFUL, asked)[0][0],
            reports,
            tuple(author for (author,) in rows(self._connection, _REPORTERS, asked)),
            rows(self._connection, _UNPROVEN, (since, domain))[0][0],
            first,
            last,
            tuple(failing),
        )

    def sessions(self, domain: str, since: float) -> Sequence[Sessions]:
        """See `Feedback`."""
        found = rows(self._connection, _SESSIONS, (since, domain))
        return [
            Sessions(of, policy, good, bad, reporters, self._faults(since, of, policy))
            for of, policy, good, bad, reporters in found
        ]

    def _faults(self, since: float, domain: str, policy: str) -> tuple[Fault, ...]:
        found = rows(self._connection, _FAULTS, (since, domain, policy))
        return tuple(Fault(*row) for row in found)
