"""The one mail that tells an owner and the postmaster that an account may not send any more."""

from merpati.directory.directory import User
from merpati.mail.address import Address
from merpati.mail.envelope import Body, BodyType, Envelope, Recipient
from merpati.mail.mime import message, text_part
from merpati.mail.trace import date_time
from merpati.report.dsn import NoticeSettings
from merpati.report.shown import shown

_SUBJECTS = {
    "en": "Sending from {account} is suspended",
    "id": "Pengiriman dari {account} ditangguhkan",
}
_TEXTS = {
    "en": """\
This is the mail server {hostname}.

Since {since} the account {account} may not send mail, because of this:

  {why}

Mail that it sent and that had not left yet is held. Nothing of it is lost, and mail to the account
comes as before.

Most often this means that somebody else knows the password and sends with it.

  To the owner: if that was not you, change the password and look for what may have given it away.
  Then ask the postmaster to let you go on. If it was you, tell the postmaster what you were
  sending.

  To the postmaster: see what was sent, and held, and let the account go on when all is well:

    merpati user show {account}
    merpati queue list --state held
    merpati user resume {account}

  What is held goes then. To throw it away instead: merpati queue cancel
""",
    "id": """\
Ini server email {hostname}.

Sejak {since} akun {account} tidak boleh mengirim email, karena:

  {why}

Email yang sudah dikirimnya tetapi belum keluar kini ditahan. Tidak ada yang hilang, dan email untuk
akun ini tetap diterima seperti biasa.

Biasanya ini berarti ada orang lain yang mengetahui kata sandinya dan mengirim dengannya.

  Untuk pemilik akun: jika itu bukan Anda, gantilah kata sandi dan cari dari mana kata sandi itu
  bocor. Setelah itu mintalah postmaster untuk melanjutkan. Jika itu memang Anda, beri tahu
  postmaster apa yang Anda kirim.

  Untuk postmaster: lihat apa yang terkirim dan ditahan, lalu lanjutkan akun ini jika sudah aman:

    merpati user show {account}
    merpati queue list --state held
    merpati user resume {account}

  Email yang ditahan akan dikirim setelah itu. Untuk membuangnya: merpati queue cancel
""",
}
_REASONS = {
    "recipients in a day that were new to it": "penerima baru baginya dalam sehari",
    "unknown recipients in an hour": "penerima yang tidak dikenal dalam satu jam",
    "more than": "lebih dari",
}
"""The words of `policy.guard`."""


def build(user: User, settings: NoticeSettings, now: float) -> tuple[Envelope, Body]:
    """The mail, ready for the door. Nobody is told where it cannot be delivered."""
    account = shown(str(user.address))
    told = [_text(user, settings.hostname, language) for language in settings.languages]
    postmaster = Address("postmaster", user.address.domain)
    fields = [
        ("From", f"Mail Delivery System <MAILER-DAEMON@{settings.hostname}>"),
        ("To", f"<{user.address}>, <{postmaster}>"),
        ("Subject", _SUBJECTS[settings.languages[0]].format(account=account)),
        ("Date", date_time(int(now))),
        # RFC 3834 §5: nobody answers it by machine.
        ("Auto-Submitted", "auto-generated"),
    ]
    utf8 = not user.address.is_ascii
    head, body = message(fields, text_part(("\n" + "-" * 60 + "\n\n").join(told)), utf8=utf8)
    envelope = Envelope(
        sender=None,
        recipients=tuple(map(Recipient, dict.fromkeys((user.address, postmaster)))),
        body=BodyType.SEVEN_BIT if body.isascii() and head.isascii() else BodyType.EIGHT_BIT,
        smtputf8=utf8,
    )
    return envelope, Body((head, body))


def reason(why: str, language: str) -> str:
    """As people read it; what an operator wrote stays as it is."""
    if language == "id":
        for words, translated in _REASONS.items():
            why = why.replace(words, translated)
    return why


def _text(user: User, hostname: str, language: str) -> str:
    suspension = user.suspension
    return _TEXTS[language].format(
        hostname=hostname,
        account=shown(str(user.address)),
        since=date_time(int(suspension.at)) if suspension else "",
        why=reason(shown(suspension.why), language) if suspension else "",
    )
