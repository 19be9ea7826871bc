"""Who knows that somebody is who they say: `[login]` and what is below it."""

from typing import Annotated

from merpati.config.table import Table, between, key
from merpati.config.values import Duration
from merpati.identity.expected import Expected
from merpati.identity.gate import GateSettings


class CertificatesTable(Table, frozen=True):
    """Logins by certificate, at ports with `client_certificates`: the mail address in it
    (rfc822Name) is the user who logs in. Whoever signs for these authorities can log in as
    anybody, so take none of the public ones."""

    authorities: Annotated[
        str,
        key(
            "PEM file with the authorities whose certificates are believed, relative to this file. "
            "Lists of revoked certificates (CRL) in it are obeyed: then each authority needs one."
        ),
    ]


_GATE = GateSettings()
# A client waits five minutes for a reply (RFC 5321 §4.5.3.2), people wait seconds.
_SECONDS = between(0.1, 60)
_TIMEOUT = "What a login waits at most for the answer; then it is told to come later (454)."
_CACHE = (
    "How long a password that was right is taken for right without asking again; a change of it "
    "counts after that. Only a keyed digest is remembered. 0: every login asks."
)
_AUTHORITIES = "PEM file with the authorities its certificate may come from; else the system's."


class LoginHttpTable(Table, frozen=True):
    """Passwords that a program of yours knows, which is asked by HTTP. docs/logins.md has the
    contract. Passwords of the directory are good besides; SCRAM is not offered."""

    url: Annotated[str, key("Where it answers: `https://`, or `http://` on this machine.")]
    secret_file: Annotated[
        str,
        key(
            "File with a secret that the program is shown as a bearer token; nobody else reads it."
        ),
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    timeout: Annotated[Duration, _SECONDS, key(_TIMEOUT)] = Duration(_GATE.seconds)
    cache: Annotated[Duration, between(0, 86400), key(_CACHE)] = Duration(0)


class LoginLdapTable(Table, frozen=True):
    """Passwords that an LDAP server knows (OpenLDAP, Active Directory, ...): it is bound to as the
    user. Passwords of the directory are good besides; SCRAM is not offered."""

    servers: Annotated[
        tuple[str, ...],
        key(
            "`ldaps://host` or `ldap://host`, which is encrypted by StartTLS; in turn, until one "
            "can be asked."
        ),
    ]
    dn: Annotated[
        str,
        key(
            "How a user is called there: `uid={local},ou=people,dc=a,dc=test`. `{user}` is the "
            "whole address, `{local}` and `{domain}` its parts."
        ),
    ] = ""
    base: Annotated[str, key("Without `dn`: below which entry users are looked for.")] = ""
    filter: Annotated[
        str, key("Without `dn`: which entry it is, `(&(objectClass=person)(mail={user}))`.")
    ] = ""
    bind_dn: Annotated[str, key("Who may look; without it the server is asked as nobody.")] = ""
    bind_password_file: Annotated[
        str, key("File with the password of `bind_dn`; nobody else may read it.")
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    start_tls: Annotated[
        bool, key("False: passwords go to `ldap://` in the clear. Only to this machine.")
    ] = True
    timeout: Annotated[Duration, _SECONDS, key(_TIMEOUT)] = Duration(_GATE.seconds)
    cache: Annotated[Duration, between(0, 86400), key(_CACHE)] = Duration(0)


class LoginOauthTable(Table, frozen=True):
    """Tokens of an OpenID provider, for OAUTHBEARER and XOAUTH2. Needs the extra
    `oauth`. A token has to be signed by the provider's keys, or be known to it."""

    issuer: Annotated[
        str,
        key(
            "The provider, exactly as its tokens and its OpenID configuration name it: `https://`, "
            "or `http://` on this machine."
        ),
    ]
    audience: Annotated[
        tuple[str, ...], key("Whom tokens have to be for (`aud`): one of these names of us.")
    ]
    scope: Annotated[tuple[str, ...], key("What tokens have to be good for: all of these.")] = ()
    claim: Annotated[
        str,
        key(
            "Which claim names the user's address. With `email` the provider has to have verified "
            "it (`email_verified`); any other one nobody but the provider may be able to change."
        ),
    ] = Expected("", ()).claim
    client_id: Annotated[
        str,
        key(
            "Our name at the provider: with it tokens that are no signed JWT are asked about there "
            "(introspection, RFC 7662)."
        ),
    ] = ""
    client_secret_file: Annotated[
        str, key("File with the secret of `client_id`; nobody else may read it.")
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    timeout: Annotated[Duration, _SECONDS, key(_TIMEOUT)] = Duration(_GATE.seconds)


class LoginTable(Table, frozen=True):
    """Who knows that somebody is who they say, besides the passwords of the directory. Whoever
    logs in is a user of the directory all the same (`merpati user add`)."""

    certificates: CertificatesTable | None = None
    http: LoginHttpTable | None = None
    ldap: LoginLdapTable | None = None
    oauth: LoginOauthTable | None = None
