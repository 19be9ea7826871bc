"""How it is told that others than its signer bring one signature again and again."""

from math import ceil

from merpati.journal.events import Replay

_LABELS = {"en": "repeated signature", "id": "tanda tangan berulang"}
_TOLD = {
    "en": "that of {domain} came with {copies} messages to {recipients} recipients within "
    "{minutes} min, from hosts that are not its signer's: a list or a forwarder does so, or "
    "somebody who sends one signed message again to thousands (DKIM replay)",
    "id": "milik {domain} datang dalam {copies} pesan untuk {recipients} penerima dalam "
    "{minutes} menit, dari host yang bukan milik penandatangannya: begitulah milis atau penerus, "
    "atau orang yang mengirim ulang satu pesan bertanda tangan ke ribuan alamat (DKIM replay)",
}


def told(replay: Replay, language: str) -> tuple[str, str]:
    """Label and text; strangers' words in it are not yet made safe."""
    domain = f"{replay.domain} ({replay.selector})" if replay.selector else replay.domain
    text = _TOLD[language].format(
        domain=domain,
        copies=replay.copies,
        recipients=replay.recipients,
        minutes=max(1, ceil(replay.seconds / 60)),
    )
    return _LABELS[language], text
