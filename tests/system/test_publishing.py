"""The policy of MTA-STS as the server gives it."""

from pathlib import Path

import pytest

from merpati.certificates.tlsa import identity_of
from merpati.clock import SystemClock
from merpati.config.errors import ConfigError
from merpati.config.places import Places
from merpati.config.settings import Settings, load
from merpati.delivery.backing import StsMode
from merpati.delivery.sts.policy import parse_policy
from merpati.setup.autoconfig import MailHosts
from merpati.system.publishing import mail_hosts, served_policy, subject_of
from merpati.wire.certificates import make_self_signed

TABLE = '[http]\nlisten = "127.0.0.1:8025"\n[mta_sts]\n'


def settings(directory: Path, text: str) -> Settings:
    file = directory / "merpati.toml"
    file.write_text(f'hostname = "MX.a.test"\n{text}')
    return load(file)


def test_a_policy_is_given_for_domains_here_alone(tmp_path: Path) -> None:
    told = 'mode = "enforce"\nmax_age = "4w"\nmx = ["mx2.a.test"]\n'
    served = settings(tmp_path, TABLE + told)
    text = served_policy(served, "MTA-STS.a.test:8025", ["a.test"])
    policy = parse_policy(text.encode())
    assert (policy.mode, policy.max_age) == (StsMode.ENFORCE, 28 * 86_400)
    assert policy.mx == ("mx.a.test", "mx2.a.test")
    for host in ("mta-sts.b.test", "a.test", "", "mta-sts."):
        assert served_policy(served, host, ["a.test"]) == ""


def test_what_is_served_is_what_setup_tells_of(tmp_path: Path) -> None:
    served = settings(tmp_path, TABLE)
    subject = subject_of(served, "a.test", ())
    assert subject.serves_policy
    assert served_policy(served, "mta-sts.a.test", ["a.test"]) == subject.policy.text


def test_the_key_is_that_of_what_is_shown_or_of_nothing(tmp_path: Path) -> None:
    own = settings(tmp_path, "")
    places = Places(own.data)
    places.certificate.parent.mkdir(parents=True)
    make_self_signed(places.certificate, places.key, SystemClock(), ["mx.a.test"])
    identity = identity_of(places.certificate.read_bytes())
    assert subject_of(own, "a.test", ()).identity == identity
    places.certificate.write_text("nothing")
    assert subject_of(own, "a.test", ()).identity is None
    named = '[tls]\ncertificate = "not-for-us.pem"\nkey = "not-for-us.key"\n'
    assert subject_of(settings(tmp_path, named), "a.test", ()).identity is None
    within = '[tls]\ndirectory = "not-for-us"\n'
    assert subject_of(settings(tmp_path, within), "a.test", ()).identity is None
    ordered = '[acme]\nterms_agreed = true\nlisten = "127.0.0.1:8080"\n'
    assert subject_of(settings(tmp_path, ordered), "a.test", ()).identity is None


def test_without_the_table_no_policy_is_served(tmp_path: Path) -> None:
    assert served_policy(settings(tmp_path, ""), "mta-sts.a.test", ["a.test"]) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[mta_sts]\n", "is served on"),
        (TABLE + 'max_age = "60w"\n', "Allowed: 1s to 8766h"),
        (TABLE + 'mx = ["*"]\n', "names no host"),
    ],
)
def test_a_policy_that_nobody_could_keep_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        settings(tmp_path, text)


def test_mail_programs_are_told_of_domains_here_alone(tmp_path: Path) -> None:
    ports = '[[port]]\nrole = "submissions"\nlisten = "127.0.0.1:465"\n'
    http = '[http]\nlisten = "127.0.0.1:8025"\n'
    told = settings(tmp_path, f'{ports}{http}[autoconfig]\nimap = "imap.a.test"\n')
    hosts = mail_hosts(told, "a.test", ["a.test"])
    assert hosts == MailHosts("a.test", "mx.a.test", 465, 0, "imap.a.test")
    assert mail_hosts(told, "b.test", ["a.test"]) is None
    assert mail_hosts(settings(tmp_path, ports), "a.test", ["a.test"]) is None
    assert subject_of(told, "a.test", ()).serves_autoconfig
