"""Templates of LDAP: what a client says is a value, whatever is in it (RFC 4514 and 4515)."""

import pytest

from merpati.identity.ldap.names import TemplateError, fill_filter, fill_name
from merpati.mail.address import Address
from tests.cases import each

ANN = Address("ann", "a.test")


@each(
    ("local", "name"),
    [
        ("ann", "uid=ann,dc=a"),
        ("a,dc=b", r"uid=a\2Cdc\3Db,dc=a"),
        ('a"+;<>\\', r"uid=a\22\2B\3B\3C\3E\5C,dc=a"),
        (" a ", r"uid=\20a\20,dc=a"),
        ("#a", r"uid=\23a,dc=a"),
        ("a\0b", r"uid=a\00b,dc=a"),
        ("sélamat", "uid=sélamat,dc=a"),
    ],
)
def test_nothing_in_a_name_becomes_syntax(local: str, name: str) -> None:
    assert fill_name("uid={local},dc=a", Address(local, "a.test")) == name


def test_a_name_may_have_the_whole_address_and_its_domain() -> None:
    assert fill_name("cn={user},ou={domain}", ANN) == "cn=ann@a.test,ou=a.test"


# BER by hand: tag, length, content.
UID = b"\x04\x03uid"


@each(
    ("template", "octets"),
    [
        ("(uid={local})", b"\xa3\x0a" + UID + b"\x04\x03ann"),
        ("(uid=*)", b"\x87\x03uid"),
        ("(!(uid={local}))", b"\xa2\x0c\xa3\x0a" + UID + b"\x04\x03ann"),
        ("(&(uid=*)(uid=*))", b"\xa0\x0a\x87\x03uid\x87\x03uid"),
        ("(|(uid=*))", b"\xa1\x05\x87\x03uid"),
        ("(uid>=a)", b"\xa5\x08" + UID + b"\x04\x01a"),
        ("(uid~=a)", b"\xa8\x08" + UID + b"\x04\x01a"),
        ("(uid=a*b*c)", b"\xa4\x10" + UID + b"\x30\x09\x80\x01a\x81\x01b\x82\x01c"),
        ("(uid={local}*)", b"\xa4\x0c" + UID + b"\x30\x05\x80\x03ann"),
        (r"(uid=\2a\28)", b"\xa3\x09" + UID + b"\x04\x02*("),
        ("(uid:1.2.3:={local})", b"\xa9\x11\x81\x051.2.3\x82\x03uid\x83\x03ann"),
        ("(:dn:2.4:=a)", b"\xa9\x0b\x81\x032.4\x83\x01a\x84\x01\xff"),
    ],
)
def test_a_filter_is_written_as_rfc_4511_has_it(template: str, octets: bytes) -> None:
    assert fill_filter(template, ANN) == octets


@each("local", ["*", "a)(uid=*", "a*b", "\\2a", "{domain}", "\0", "(|(uid=*"])
def test_what_a_client_says_is_compared_with_and_nothing_else(local: str) -> None:
    said = local.encode()
    value = b"\x04" + bytes([len(said)]) + said
    expected = b"\xa3" + bytes([len(UID) + len(value)]) + UID + value
    assert fill_filter("(uid={local})", Address(local, "a.test")) == expected


@each(
    "template",
    [
        *("", "uid=x", "(uid=x", "(uid=x))", "(&)", "(=x)", "(uid={name})", "(uid=\\zz)", "()"),
        *("(!)", "(!" * 30 + "(uid=x)" + ")" * 30),
    ],
)
def test_a_filter_that_is_none_is_said_to_be_none(template: str) -> None:
    with pytest.raises(TemplateError):
        fill_filter(template, ANN)
