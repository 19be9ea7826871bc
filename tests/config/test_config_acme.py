"""What `[acme]` and `[tls]` must be."""

from pathlib import Path

import pytest

from merpati.config.errors import ConfigError
from merpati.config.settings import load

PORT = 'hostname = "mx.a.test"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'
ACME = "[acme]\nterms_agreed = true\n"
HTTP = '[http]\nlisten = "127.0.0.1:8025"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{HTTP}[acme]\n", "acme: needs terms_agreed = true"),
        (ACME, "acme: nobody would answer the CA"),
        (f'{HTTP}{ACME}names = ["*.a.test"]\n', "*.a.test cannot be proven by HTTP"),
        (f'{ACME}listen = "127.0.0.1:2525"\n', "another door listens there already"),
        (f'{ACME}challenge = "dns"\n', "needs [[dns.update]], which is not there"),
        (f'{ACME}challenge = "hook"\n', "needs hook beside it"),
        (f'{HTTP}{ACME}directory = "http://ca.test/"\n', "directory: is no URL of https"),
        (f'{HTTP}{ACME}eab_id = "x"\n', "eab_id and eab_key_file belong together"),
        (f'{HTTP}{ACME}names = ["192.0.2.1"]\n', "does not fit"),
        (
            f'{HTTP}{ACME}names = ["a.test"]\n[[acme.certificate]]\nnames = ["a.test"]\n',
            "a.test is the first name of two certificates",
        ),
        ('[tls]\nkey = "k"\n', "tls, key: key needs certificate beside it"),
        ("[tls]\n", "tls: names no certificate"),
    ],
)
def test_certificates_that_could_not_be_got_are_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(f"{PORT}{text}")
    with pytest.raises(ConfigError) as error:
        load(file)
    assert why in str(error.value)
