"""What one line of a conversation and its answer mean, for someone who never read RFC 5321."""

import re

from merpati.diagnosis.replies import Stage
from merpati.diagnosis.texts import DEFAULT_LANGUAGE, explain, explain_reply

# A command by its first words, the stage at which its refusal is judged, and what it says.
_COMMANDS: dict[str, tuple[Stage, str, str]] = {
    "": (Stage.CONNECT, "The server greets us", "Server menyapa kami"),
    "EHLO": (
        Stage.HELLO,
        "We give our name and ask what the server can do",
        "Kami menyebut nama dan menanyakan kemampuan server",
    ),
    "HELO": (
        Stage.HELLO,
        "We give our name in the old, plain way",
        "Kami menyebut nama dengan cara lama",
    ),
    "LHLO": (
        Stage.HELLO,
        "We give our name to a mailbox server",
        "Kami menyebut nama kepada server kotak surat",
    ),
    "STARTTLS": (Stage.STARTTLS, "We ask for encryption", "Kami meminta enkripsi"),
    "TLS": (Stage.STARTTLS, "Both sides turn encryption on", "Kedua pihak menyalakan enkripsi"),
    "AUTH": (Stage.AUTH, "We log in", "Kami masuk dengan kata sandi"),
    "MAIL": (Stage.MAIL, "We say who sends", "Kami menyebut pengirim"),
    "RCPT": (Stage.RCPT, "We say who should receive", "Kami menyebut penerima"),
    "DATA": (
        Stage.DATA,
        "We ask to hand the message over",
        "Kami meminta izin menyerahkan pesan",
    ),
    "BDAT": (
        Stage.BODY,
        "We hand over a piece of the message of known size",
        "Kami menyerahkan sepotong pesan yang ukurannya diketahui",
    ),
    "MESSAGE": (
        Stage.BODY,
        "We hand over the message; from here on the answer counts",
        "Kami menyerahkan pesan; jawaban berikut ini yang menentukan",
    ),
    "RSET": (
        Stage.MAIL,
        "We begin anew on the same connection",
        "Kami memulai lagi di sambungan yang sama",
    ),
    "NOOP": (Stage.MAIL, "We ask whether the server is still there", "Kami memastikan server ada"),
    "QUIT": (Stage.MAIL, "We say goodbye", "Kami berpamitan"),
}
_OTHER = (Stage.MAIL, "We say", "Kami berkata")
_YES: dict[str, tuple[str, str]] = {
    "": ("it is ready", "server siap"),
    "MESSAGE": (
        "it has taken the message and is responsible for it now",
        "pesan sudah diambil dan kini menjadi tanggung jawabnya",
    ),
    "QUIT": ("it says goodbye too", "server ikut berpamitan"),
    "DATA": ("it waits for the message", "server menunggu pesannya"),
    "AUTH": ("it knows us", "server mengenal kami"),
}
_ACCEPTED = ("accepted", "diterima")
_SILENCE = ("no answer came", "tidak ada jawaban")

_REPLY = re.compile(r"([2-5]\d\d)[ -]?(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?")
_END = re.compile(r"\.|\(.*octets?\)|<.*message.*>|BDAT \d+ LAST", re.IGNORECASE)


def annotate(sent: str, reply: str, language: str = DEFAULT_LANGUAGE, cause: str = "") -> str:
    """One sentence about what we said and what the answer means. Empty `sent` is a greeting.

    `cause` is what a refusal is known to mean; without it its words alone are read.

    A lone `.`, `BDAT … LAST`, or a note such as `(2,313 octets)` stands for the message itself.
    """
    verb = _verb(sent)
    stage, *said = _COMMANDS.get(verb, _OTHER)
    at = 1 if language == "id" else 0
    told = explain(cause, language).summary if cause else _answer(stage, verb, reply, language, at)
    return f"{said[at]}: {told}"


def reply_parts(reply: str) -> tuple[int, str, str]:
    """Code, enhanced status code and text of a reply in one line; code 0 when there is none."""
    found = _REPLY.match(reply)
    if not found:
        return 0, "", reply
    return int(found[1]), found[2] or "", reply[found.end() :].strip()


def _verb(sent: str) -> str:
    if not sent:
        return ""
    if _END.fullmatch(sent):
        return "MESSAGE"
    return sent.split(" ", 1)[0].split(":", 1)[0].upper()


def _answer(stage: Stage, verb: str, reply: str, language: str, at: int) -> str:
    code, status, text = reply_parts(reply)
    if not reply:
        return _SILENCE[at] + "."
    if 0 < code < 400:
        return _YES.get(verb, _ACCEPTED)[at] + "."
    if not code and verb == "MESSAGE":
        return explain("in-doubt", language).summary
    return explain_reply(stage, code, status, text, language).summary
