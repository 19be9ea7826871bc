"""Which texts tell of a refusal of our own: the causes `our-…`."""

from merpati.diagnosis.texts import known_causes

LOGINS = {
    "too many failures": "our-login-limit",
    "suspended account": "our-login-suspended",
}
"""By the reason that the journal keeps; any other is a wrong address or password."""
_TOO_LARGE = ("552 5.3.4", "552 5.2.3")
_LOGIN_NEEDED = "530 5.7.0"


def cause_of_rule(rule: str, reply: str) -> str:
    """The cause of a refusal by one of our rules."""
    if reply.startswith(_LOGIN_NEEDED):
        return "our-login-needed"
    if rule != "headers" and reply.startswith(_TOO_LARGE):
        return "our-size"
    cause = f"our-{rule}"
    return cause if cause in known_causes() else "our-rule"
