"""The tables below `[login]` as those know them who are asked: URLs, files and templates read."""

import ipaddress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from merpati.config.errors import ConfigError, Flaw
from merpati.config.tables.login import LoginHttpTable, LoginLdapTable
from merpati.identity.hook import HookSettings
from merpati.identity.ldap.checker import LdapServer, LdapSettings
from merpati.identity.ldap.names import TemplateError, fill_filter, fill_name
from merpati.mail.address import Address

_LDAP_PORTS = {"ldap": 389, "ldaps": 636}
_SOMEBODY = Address("ann", "a.test")


def is_this_machine(host: str) -> bool:
    """Whether what goes to a host leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """A URL of one of these schemes with a host and no login; ValueError says what is wrong."""
    url = urlsplit(text)
    if url.scheme not in schemes or not url.hostname:
        raise ValueError("a URL like " + " or ".join(f'"{one}://host"' for one in schemes))
    if url.username or url.password or url.fragment:
        raise ValueError("a URL without a login or a fragment")
    _ = url.port  # ValueError: out of range
    return url


def web_url(text: str) -> str:
    """An address for HTTP that may be shown secrets: encrypted, or on this machine."""
    url = split_url(text, ("https", "http"))
    if url.scheme == "http" and not is_this_machine(url.hostname or ""):
        raise ValueError('"https://...": what is sent there could be read on the way')
    return text


def ldap_server(text: str, *, start_tls: bool) -> LdapServer:
    """One of `servers`; ValueError says what is wrong."""
    url = split_url(text, ("ldaps", "ldap"))
    if url.path.strip("/") or url.query:
        raise ValueError("a server alone; where people are is said by dn, or base and filter")
    implicit, host = url.scheme == "ldaps", url.hostname or ""
    if not (implicit or start_tls or is_this_machine(host)):
        raise ValueError(
            "a server of this machine, or StartTLS: passwords could be read on the way"
        )
    port = url.port or _LDAP_PORTS[url.scheme]
    return LdapServer(host, port, implicit, start_tls and not implicit)


def check_templates(table: LoginLdapTable) -> None:
    """TemplateError for those that cannot be filled, or say the same of everybody."""
    if table.dn:
        fill_name(table.dn, _SOMEBODY)
    else:
        fill_filter(table.filter, _SOMEBODY)
    template = table.dn or table.filter
    if not any(place in template for place in ("{user}", "{local}")):
        raise TemplateError("it is the same for everybody: {user} or {local} is missing")


def hook_settings(table: LoginHttpTable, base: Path) -> HookSettings:
    """ConfigError when the secret cannot be read."""
    secret = read_secret(base / table.secret_file) if table.secret_file else ""
    return HookSettings(table.url, secret)


def ldap_settings(table: LoginLdapTable, base: Path) -> LdapSettings:
    """ConfigError when the password cannot be read."""
    password = ""
    if table.bind_password_file:
        password = read_secret(base / table.bind_password_file)
    return LdapSettings(
        servers=tuple(ldap_server(one, start_tls=table.start_tls) for one in table.servers),
        seconds=float(table.timeout),
        dn=table.dn,
        base=table.base,
        filter=table.filter,
        bind_dn=table.bind_dn,
        bind_password=password,
    )


def read_secret(file: Path) -> str:
    """The first line of a file; ConfigError, of that file, when there is none."""
    try:
        secret = file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Flaw("", 0, f"cannot be read: {error}")]) from None
    if not secret:
        raise ConfigError(str(file), [Flaw("", 1, "is empty", "The secret stands on line 1")])
    if not secret.isprintable():
        raise ConfigError(str(file), [Flaw("", 1, "has a character that cannot be shown", "")])
    return secret
