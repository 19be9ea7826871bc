"""What a story says about each kind of event; the keys are the tags of the events."""

ACCEPTED_BY = {
    "en": {
        "mx": "from another server",
        "submission": "from a mail program",
        "submissions": "from a mail program",
        "lmtp": "over LMTP",
        "local": "on this host",
    },
    "id": {
        "mx": "dari server lain",
        "submission": "dari program email",
        "submissions": "dari program email",
        "lmtp": "lewat LMTP",
        "local": "di host ini",
    },
}

POLICIES = {
    "en": {
        "none": "the route: without TLS",
        "opportunistic": "nobody: TLS when it is offered, whatever the certificate",
        "required": "the route: only with a valid certificate",
        "dane": "DANE: the host's zone says which certificates are its own",
        "sts-enforce": "MTA-STS: the domain demands a valid certificate",
        "sts-testing": "MTA-STS, in testing: checked, and mail goes whatever comes of it",
        "waived": "the sender (TLS-Required: No): it goes whatever its domain demands of TLS",
        "requiretls": "the sender (REQUIRETLS): only with a valid certificate",
    },
    "id": {
        "none": "rute: tanpa TLS",
        "opportunistic": "tidak ada: TLS jika ditawarkan, apa pun sertifikatnya",
        "required": "rute: hanya dengan sertifikat yang sah",
        "dane": "DANE: zona host itu menyebut sertifikat miliknya",
        "sts-enforce": "MTA-STS: domainnya menuntut sertifikat yang sah",
        "sts-testing": "MTA-STS, masa uji: diperiksa, tetapi surat tetap dikirim",
        "waived": "pengirim (TLS-Required: No): tetap dikirim apa pun tuntutan TLS domainnya",
        "requiretls": "pengirim (REQUIRETLS): hanya dengan sertifikat yang sah",
    },
}
"""Who decided what a host had to prove."""

LACKING = {
    "en": {
        "starttls-not-supported": "the host offers no TLS",
        "certificate-host-mismatch": "its certificate is for other names",
        "certificate-expired": "its certificate is not good today",
        "certificate-not-trusted": "nobody whom we trust vouches for its certificate",
        "validation-failure": "the host is not what its domain or zone says, or TLS broke",
        "tlsa-invalid": "none of its TLSA records can be used",
        "dnssec-invalid": "the signatures of its zone are wrong",
    },
    "id": {
        "starttls-not-supported": "host itu tidak menawarkan TLS",
        "certificate-host-mismatch": "sertifikatnya untuk nama lain",
        "certificate-expired": "sertifikatnya tidak berlaku hari ini",
        "certificate-not-trusted": "sertifikatnya tidak dijamin pihak yang dipercaya",
        "validation-failure": "host itu tidak sesuai kebijakan domain atau zonanya, atau TLS gagal",
        "tlsa-invalid": "tak satu pun catatan TLSA-nya dapat dipakai",
        "dnssec-invalid": "tanda tangan zonanya salah",
    },
}
"""What TLS with a host lacked, by the result types of RFC 8460 §4.3."""

PROOFS = {
    "en": {
        "": "it proved nothing",
        "pkix": "it proved by a public authority that it is {name}",
        "dane-ta": "its certificate comes from the authority in the TLSA records",
        "dane-ee": "its certificate is the one in the TLSA records",
    },
    "id": {
        "": "host itu tidak membuktikan apa-apa",
        "pkix": "host itu terbukti {name} lewat otoritas publik",
        "dane-ta": "sertifikatnya berasal dari otoritas pada catatan TLSA",
        "dane-ee": "sertifikatnya ada pada catatan TLSA",
    },
}

UNDEMANDED = {
    "en": {
        "valid": "good: an authority that we trust vouches that it is {name}",
        "refused": "refused: {why}",
    },
    "id": {
        "valid": "sah: otoritas yang dipercaya menjamin bahwa host itu {name}",
        "refused": "ditolak: {why}",
    },
}
"""What had come of a certificate, had it been demanded."""

LABELS = {
    "en": {
        "client": "client",
        "subject": "subject",
        "alias": "alias",
        "login": "login",
        "by": "vouched for by",
        "issuer": "issued by",
        "holder": "issued to",
        "detail": "found",
        "sender": "sender",
        "recipients": "recipients",
        "line": "it said",
        "tls": "encryption",
        "plain": "none",
        "signed": "signed with",
        "certificate": "certificate",
        "policy": "decided by",
        "lacking": "TLS lacks",
        "undemanded": "had it been demanded",
        "reply": "answer",
        "why": "Why",
        "next": "What to do",
        "made": "made",
        "here": "this server",
        "mailbox:": "the mailbox here",
        "reports:": "the reports here",
        "keep:": "the developer's inbox",
        "soon": "the next chance",
    },
    "id": {
        "client": "klien",
        "subject": "subjek",
        "alias": "alias",
        "login": "login",
        "by": "dijamin oleh",
        "issuer": "diterbitkan oleh",
        "holder": "diterbitkan untuk",
        "detail": "ditemukan",
        "sender": "pengirim",
        "recipients": "penerima",
        "line": "katanya",
        "tls": "enkripsi",
        "plain": "tidak ada",
        "signed": "ditandatangani dengan",
        "certificate": "sertifikat",
        "policy": "ditentukan oleh",
        "lacking": "TLS kurang",
        "undemanded": "seandainya dituntut",
        "reply": "jawaban",
        "why": "Sebab",
        "next": "Langkah berikutnya",
        "made": "tersambung",
        "here": "server ini",
        "mailbox:": "kotak surat di sini",
        "reports:": "laporan di sini",
        "keep:": "kotak masuk pengembang",
        "soon": "kesempatan berikutnya",
    },
}

REPORTS = {
    "en": {"dmarc": "DMARC report", "tls": "report about TLS"},
    "id": {"dmarc": "laporan DMARC", "tls": "laporan TLS"},
}
OUTCOMES = {
    "en": {
        "mailed": "this message brings it",
        "posted": "posted",
        "given-up": "given up",
    },
    "id": {
        "mailed": "pesan ini membawanya",
        "posted": "terkirim lewat HTTPS",
        "given-up": "dihentikan",
    },
}
"""What became of a report."""

STAGES: dict[str, dict[str, str]] = {
    "en": {},
    "id": {
        "connect": "saat tersambung",
        "hello": "saat memperkenalkan diri",
        "auth": "saat masuk",
        "mail": "saat menyebut pengirim",
        "rcpt": "saat menyebut penerima",
        "data": "saat menyerahkan pesan",
        "message": "sebagai pesan utuh",
        "command": "karena perintahnya",
    },
}
"""Where in the conversation, as a part of the sentence."""

ACTIONS: dict[str, dict[str, str]] = {
    "en": {},
    "id": {
        "failed": "gagal",
        "delayed": "tertunda",
        "delivered": "terkirim",
        "relayed": "diteruskan",
        "expanded": "dibagikan",
    },
}

REASONS: dict[str, dict[str, str]] = {
    "en": {},
    "id": {
        "wrong password or unknown user": "kata sandi salah atau pengguna tidak dikenal",
        "too many failures": "terlalu sering gagal",
        "suspended account": "akun ditangguhkan",
        "the token was not accepted": "token tidak diterima",
        "token that cannot be read": "token tidak terbaca",
        "token signed by an unknown key": "token ditandatangani kunci yang tidak dikenal",
        "token with a wrong signature": "tanda tangan token salah",
        "token of another issuer": "token dari penerbit lain",
        "token for another service": "token untuk layanan lain",
        "token out of its time": "token di luar masa berlakunya",
        "token bound to a key": "token terikat pada sebuah kunci",
        "token that is not active": "token tidak aktif",
        "token without the scope": "token tanpa cakupan yang diminta",
        "token without an address": "token tanpa alamat",
        "token with an unverified address": "token dengan alamat yang belum diverifikasi",
        "the certificate is not accepted": "sertifikat tidak diterima",
        "no certificate was shown": "tidak ada sertifikat yang ditunjukkan",
        "certificate out of its time": "sertifikat di luar masa berlakunya",
        "certificate of several users": "sertifikat untuk beberapa pengguna",
        "the certificate names no such account": "sertifikat tidak menyebut akun itu",
        "no user here": "bukan pengguna di sini",
        "of another user": "milik pengguna lain",
        "cannot be checked now": "tidak dapat diperiksa sekarang",
        "the client cancelled": "dibatalkan oleh klien",
        "it is a notice itself": "pesan itu sendiri pemberitahuan",
        "the sender is null": "tidak ada pengirim yang dapat diberi tahu",
        "the sender was not proved": "pengirimnya tidak terbukti",
        "it is an automatic answer": "pesan itu jawaban otomatis",
        "an administrator said so": "atas kata administrator",
    },
}
"""Reasons of our own that no connection has; those stand in `diagnosis.own_words`."""

WITNESSES = {
    "en": {
        "http": "the program at [login.http]",
        "ldap": "the directory at [login.ldap]",
        "token": "a token",
        "certificate": "a certificate",
    },
    "id": {
        "http": "program di [login.http]",
        "ldap": "direktori di [login.ldap]",
        "token": "token",
        "certificate": "sertifikat",
    },
}
"""Who said that somebody is who they say."""

SENTENCES = {
    "en": {
        "accepted": "Accepted {who}: {sender} writes to {recipients} ({size} octets), ID {message}",
        "refused": "Refused at {stage} by rule {rule}: {reply}",
        "logged-in": "{login} logged in from {ip} by {mechanism}",
        "login-failed": "Login of {login} from {ip} failed{why}",
        "opened": "Connection to {host} [{ip}]:{port}: {error}",
        "delivered": "Delivered to {address} at {place}, {delay} s after it was accepted",
        "deferred": "Not yet delivered to {address} by {place}; tried again at {due}",
        "failed": "Failed for {address} at {place}",
        "expired": "Given up for {address} after {attempts} attempts: its time is over",
        "held": "Held for {address} by {by}{why}",
        "released": "Released for {address} by {by}",
        "rerouted": "Sent another way for {address} by {by}: {route}",
        "cancelled": "Cancelled for {address} by {by}",
        "noticed": "The sender is told about {address} ({action}) by message {notice}",
        "unnoticed": "The sender is not told about {address} ({action}){why}",
        "site-held": "Site {site} on hold{why}",
        "site-resumed": "Site {site} resumed{why}",
        "sender-held": "Mail of {sender} waits for site {site}, which refuses this sender{why}",
        "sender-resumed": "Mail of {sender} goes to site {site} again",
        "account-suspended": "{login} may not send any more, by {by}{why}",
        "account-resumed": "{login} may send again, by {by}",
        "policy-unread": "The MTA-STS policy of {domain} could not be had{why}",
        "reported": "Daily {kind} to {domain} about {day} for {to}: {done}{why}",
        "server": "Server: {what} {detail}",
    },
    "id": {
        "accepted": "Diterima {who}: {sender} kepada {recipients} ({size} oktet), ID {message}",
        "refused": "Ditolak {stage} oleh aturan {rule}: {reply}",
        "logged-in": "{login} masuk dari {ip} dengan {mechanism}",
        "login-failed": "{login} dari {ip} gagal masuk{why}",
        "opened": "Sambungan ke {host} [{ip}]:{port}: {error}",
        "delivered": "Terkirim kepada {address} di {place}, {delay} detik setelah diterima",
        "deferred": "Belum terkirim kepada {address} lewat {place}; dicoba lagi pada {due}",
        "failed": "Gagal untuk {address} di {place}",
        "expired": "Dihentikan untuk {address} setelah {attempts} percobaan: waktunya habis",
        "held": "Ditahan untuk {address} oleh {by}{why}",
        "released": "Dilepas untuk {address} oleh {by}",
        "rerouted": "Dialihkan untuk {address} oleh {by}: {route}",
        "cancelled": "Dibatalkan untuk {address} oleh {by}",
        "noticed": "Pengirim diberi tahu tentang {address} ({action}) lewat pesan {notice}",
        "unnoticed": "Pengirim tidak diberi tahu tentang {address} ({action}){why}",
        "site-held": "Situs {site} dijeda{why}",
        "site-resumed": "Situs {site} dilanjutkan{why}",
        "sender-held": "Email {sender} menunggu untuk situs {site}, yang menolak pengirim ini{why}",
        "sender-resumed": "Email {sender} dikirim lagi ke situs {site}",
        "account-suspended": "{login} tidak boleh mengirim lagi, oleh {by}{why}",
        "account-resumed": "{login} boleh mengirim lagi, oleh {by}",
        "policy-unread": "Kebijakan MTA-STS {domain} tidak dapat diambil{why}",
        "reported": "{kind} harian untuk {domain} tentang {day} kepada {to}: {done}{why}",
        "server": "Server: {what} {detail}",
    },
}
