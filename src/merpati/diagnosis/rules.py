"""Which texts tell of a refusal of our own: the causes `our-…`."""

from merpati.diagnosis.texts import known_causes

LOGINS = {
    "too many failures": "our-login-limit",
    "suspended account": "our-login-suspended",
    "cannot be checked now": "our-login-unknown",
    "no user here": "our-login-nobody",
    "the certificate is not accepted": "our-login-certificate",
    "no certificate was shown": "our-login-certificate",
    "certificate out of its time": "our-login-certificate",
    "certificate of several users": "our-login-certificate",
    "the certificate names no such account": "our-login-certificate",
    "of another user": "our-login-other",
    "token that cannot be read": "our-login-token",
    "token signed by an unknown key": "our-login-token",
    "token with a wrong signature": "our-login-token",
    "token of another issuer": "our-login-token",
    "token for another service": "our-login-token",
    "token out of its time": "our-login-token",
    "token bound to a key": "our-login-token",
    "token that is not active": "our-login-token",
    "token without the scope": "our-login-token",
    "token without an address": "our-login-token",
    "token with an unverified address": "our-login-token",
    "the token was not accepted": "our-login-token",
}
"""By the reason that the journal keeps; any other is a wrong address or password."""
_TOO_LARGE = ("552 5.3.4", "552 5.2.3")
_LOGIN_NEEDED = "530 5.7.0"
_RETURNS = ("550 5.1.1 No such return address", "550 5.7.1 This address takes notices")


def cause_of_rule(rule: str, reply: str) -> str:
    """The cause of a refusal by one of our rules."""
    if reply.startswith(_LOGIN_NEEDED):
        return "our-login-needed"
    if rule != "headers" and reply.startswith(_TOO_LARGE):
        return "our-size"
    if rule == "recipients" and reply.startswith(_RETURNS):
        return "our-return"
    cause = f"our-{rule}"
    return cause if cause in known_causes() else "our-rule"
