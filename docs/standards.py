"""Writes docs/standards.md: every RFC we claim, its status, and the code and tests that cite it.

A test cites the RFC that it tests, in the first lines of its file or where it matters: that, and
no import, says that it is one of that RFC's tests.

`python docs/standards.py` rewrites the page; a test fails when it is out of date.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/standards.md"
CITATION = re.compile(r"RFC[ \u00a0]?(\d{3,5})((?:[ ,]+(?:and |or )?\d{4}\b)*)")

# number: (what it is, status). Statuses: done, partly (with what is missing), read.
CLAIMED: dict[int, tuple[str, str]] = {
    1870: ("SIZE", "done"),
    2033: ("LMTP", "done"),
    2034: ("Enhanced status codes in replies", "done"),
    2047: ("Encoded words in header fields", "done"),
    2136: ("DNS UPDATE", "done, as a client"),
    2231: ("Parameter values in other scripts", "done"),
    2852: ("DELIVERBY", "done"),
    2920: ("PIPELINING", "done"),
    3030: ("CHUNKING and BINARYMIME", "done"),
    3207: ("STARTTLS", "done"),
    3461: ("DSN: what a sender asks", "done"),
    3462: ("multipart/report, as it was", "done as RFC 6522, which replaced it"),
    3463: ("Enhanced status codes", "done"),
    3464: ("DSN: what a notice says", "done"),
    3848: ("`with` keywords of Received", "done"),
    4422: ("SASL, and its mechanism EXTERNAL", "done"),
    4511: ("LDAP", "partly: bind, search and StartTLS, for checking passwords"),
    4514: ("LDAP: names as text", "done"),
    4515: ("LDAP: filters as text", "done"),
    4616: ("SASL PLAIN", "done"),
    4865: ("FUTURERELEASE", "done"),
    4954: ("AUTH", "done"),
    5248: ("Registry of enhanced status codes", "done"),
    5321: ("SMTP", "done"),
    5322: ("Message format (what we write and scan)", "done"),
    5802: ("SCRAM", "done"),
    5929: ("Channel bindings", "done"),
    5965: ("ARF: feedback reports", "partly: received and shown"),
    6066: ("TLS: the name that a client asks for", "done: SNI, nothing else of it"),
    6152: ("8BITMIME", "done"),
    6186: (
        "SRV records for mail programs",
        "partly: records for submission are printed and checked",
    ),
    6376: ("DKIM", "done"),
    6409: ("Submission", "done"),
    6522: ("multipart/report", "done"),
    6531: ("SMTPUTF8", "done"),
    6532: ("UTF-8 header fields", "done"),
    6533: ("Notices about UTF-8 addresses", "done"),
    6710: ("MT-PRIORITY", "done"),
    7208: ("SPF", "done"),
    7504: ("521 and 556", "done"),
    7505: ("Null MX", "done"),
    7519: ("JWT", "done"),
    7628: ("OAUTHBEARER", "done"),
    7662: ("Token introspection", "done"),
    8414: ("Where an OAuth server answers", "done"),
    8725: ("JWT: what to beware of", "done"),
    9068: ("JWT for access", "done"),
    6698: ("TLSA records", "done"),
    7671: ("DANE: how TLSA records are taken", "done"),
    7672: ("DANE for SMTP", "done"),
    7677: ("SCRAM-SHA-256", "done"),
    8301: ("DKIM: algorithms and key lengths", "done"),
    8314: ("Implicit TLS", "done"),
    8460: ("Reports about TLS", "done: sent and received by mail and HTTPS"),
    8461: (
        "MTA-STS",
        "done: honoured outward, by `mx:` and by smarthosts (§3.4); our own policy served by "
        "HTTPS, and looked at as senders see it",
    ),
    8463: ("DKIM: Ed25519", "done"),
    8601: ("Authentication-Results: the field, and which ones are forged", "done"),
    8555: (
        "ACME: certificates from a CA",
        "done: proof by HTTP and DNS, revocation, another key of the account and its end",
    ),
    8617: ("ARC: verifying, and sealing what is forwarded (off by default)", "done"),
    8689: ("REQUIRETLS, and `TLS-Required: No`", "done"),
    8945: ("TSIG: signed changes of a zone", "done, as a client; by HMAC of SHA-256 to SHA-512"),
    9266: (
        "tls-exporter channel binding",
        "partly: used where TLS can export keys; Python's ssl cannot",
    ),
    9422: ("LIMITS", "done"),
    9773: ("ACME: when a CA would like to renew", "done"),
    9989: ("DMARC: records, tree walk, alignment, verdicts", "done"),
    9990: ("DMARC aggregate reports", "done"),
    9991: ("DMARC failure reports", "partly: received and shown; nothing sends them yet"),
}

OTHERS = (
    (
        "SRS: The Sender Rewriting Scheme (Shevek, 2004)",
        "done: SRS0 and SRS1, keys that rotate; docs/forwarding.md",
        "authenticity/srs.py",
    ),
    (
        "BIMI (draft-brand-indicators-for-message-identification-14)",
        "partly: `merpati domain setup --check` looks at records, `merpati domain logo` at a logo "
        "and its certificate (VMC); nothing is fetched, no mail is judged by it",
        "authenticity/bimi/",
    ),
)
"""What has no number: what it is, status, where it is decided."""


def citations(top: str = "src/merpati", names: str = "*.py") -> dict[int, set[str]]:
    """RFC number to the files below `top`, called like `names`, that cite it."""
    found: dict[int, set[str]] = {}
    for path in sorted((ROOT / top).rglob(names)):
        for first, more in CITATION.findall(path.read_text("utf-8")):
            for number in [first, *re.findall(r"\d{4}", more)]:
                found.setdefault(int(number), set()).add(path.relative_to(ROOT / top).as_posix())
    return found


def tests() -> dict[int, set[str]]:
    """RFC number to the files of tests that cite it."""
    return citations("tests", "test_*.py")


def untested() -> list[int]:
    """Of what is called done, what no test says that it tests."""
    tested = tests()
    return [n for n, (_, status) in CLAIMED.items() if _is_done(status) and n not in tested]


def _is_done(status: str) -> bool:
    return status.startswith("done")


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def page() -> str:
    """The page as it should be."""
    cited, tested = citations(), tests()
    lines = [
        "# Standards",
        "",
        "What Merpati follows, how far, where it is decided (in `src/merpati`), and which tests",
        "(in `tests`) say that they test it. Written by `python docs/standards.py`; do not edit by",
        "hand.",
        "",
        "| RFC | what | status | cited in | tested in |",
        "|---|---|---|---|---|",
    ]
    for number, (what, status) in sorted(CLAIMED.items()):
        files, checks = _listed(cited.get(number, set())), _listed(tested.get(number, set()))
        lines.append(f"| {number} | {what} | {status} | {files} | {checks} |")
    others = sorted(set(cited) - set(CLAIMED))
    lines += ["", "Beside the RFCs:", "", "| what | status | where |", "|---|---|---|"]
    lines += [f"| {what} | {status} | `{where}` |" for what, status, where in OTHERS]
    lines += ["", "Also consulted: " + ", ".join(f"RFC {n}" for n in others) + ".", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
