"""The fixed sentences of notices, in every language that we speak."""

from dataclasses import dataclass

from merpati.diagnosis.cause import Fault


@dataclass(frozen=True, slots=True)
class Wording:
    """One language; the keys of `subjects` and `openings` are the actions of RFC 3464 §2.3.3."""

    greeting: str
    subjects: dict[str, str]
    openings: dict[str, str]
    about: str
    next: str
    fault: str
    faults: dict[Fault, str]
    """As the sender is told."""
    operator_faults: dict[Fault, str]
    """As whoever runs this server is told."""
    last_attempt: str
    until: str
    said: str
    this_server: str


WORDINGS = {
    "en": Wording(
        greeting="This is the mail server {hostname}.",
        subjects={
            "failed": "Your message could not be delivered",
            "delayed": "Your message is delayed; we keep trying",
            "delivered": "Your message was delivered",
            "relayed": "Your message was passed on",
            "expanded": "Your message was passed on to a list",
        },
        openings={
            "failed": "Your message could not be delivered to:",
            "delayed": "Your message has not been delivered yet; nothing is lost, we keep trying:",
            "delivered": "Your message was delivered to:",
            "relayed": "Your message was passed on to a server that may send no receipts, for:",
            "expanded": "Your message was passed on to the members behind:",
        },
        about="Subject",
        next="What to do next",
        fault="Who can mend it",
        faults={
            Fault.SENDER: "you",
            Fault.RECIPIENT: "the recipient",
            Fault.THEIR_SERVER: "those who run the recipient's server",
            Fault.OUR_SERVER: "those who run your own mail server or domain",
            Fault.NETWORK: "those who run the network in between",
            Fault.NOBODY: "nobody needs to; it passes by itself",
        },
        operator_faults={
            Fault.SENDER: "the sender",
            Fault.RECIPIENT: "the recipient",
            Fault.THEIR_SERVER: "those who run the recipient's server",
            Fault.OUR_SERVER: "you, who run this server, or the owner of the sender's domain",
            Fault.NETWORK: "those who run the network in between",
            Fault.NOBODY: "nobody needs to; it passes by itself",
        },
        last_attempt="What the last attempt met",
        until="We try until",
        said="The words of {host}",
        this_server="this server",
    ),
    "id": Wording(
        greeting="Ini server email {hostname}.",
        subjects={
            "failed": "Pesan Anda tidak dapat diantarkan",
            "delayed": "Pesan Anda tertunda; kami terus mencoba",
            "delivered": "Pesan Anda sudah diantarkan",
            "relayed": "Pesan Anda sudah diteruskan",
            "expanded": "Pesan Anda sudah diteruskan ke sebuah daftar",
        },
        openings={
            "failed": "Pesan Anda tidak dapat diantarkan kepada:",
            "delayed": "Pesan Anda belum diantarkan; tidak ada yang hilang, kami terus mencoba:",
            "delivered": "Pesan Anda sudah diantarkan kepada:",
            "relayed": "Diteruskan ke server yang mungkin tidak memberi tanda terima, untuk:",
            "expanded": "Pesan Anda sudah diteruskan kepada anggota di balik:",
        },
        about="Subjek",
        next="Langkah berikutnya",
        fault="Yang dapat memperbaiki",
        faults={
            Fault.SENDER: "Anda",
            Fault.RECIPIENT: "penerima",
            Fault.THEIR_SERVER: "pengelola server penerima",
            Fault.OUR_SERVER: "pengelola server email atau domain Anda sendiri",
            Fault.NETWORK: "pengelola jaringan di antaranya",
            Fault.NOBODY: "tidak perlu siapa pun; akan selesai dengan sendirinya",
        },
        operator_faults={
            Fault.SENDER: "pengirim",
            Fault.RECIPIENT: "penerima",
            Fault.THEIR_SERVER: "pengelola server penerima",
            Fault.OUR_SERVER: "Anda sebagai pengelola server ini, atau pemilik domain pengirim",
            Fault.NETWORK: "pengelola jaringan di antaranya",
            Fault.NOBODY: "tidak perlu siapa pun; akan selesai dengan sendirinya",
        },
        last_attempt="Yang dialami percobaan terakhir",
        until="Kami mencoba sampai",
        said="Jawaban dari {host}",
        this_server="server ini",
    ),
}
