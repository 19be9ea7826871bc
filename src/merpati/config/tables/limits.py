"""What a message, a peer and a login may use: `[limits]`, `[submission]`."""

from typing import Annotated

from merpati.config.table import CONNECTIONS, MESSAGE, RATE, Table, between, key
from merpati.config.values import Size
from merpati.policy.guard import GuardSettings
from merpati.policy.rules.limits import LimitSettings
from merpati.wire.listen import ListenSettings

_RULES = LimitSettings()
_GUARD = GuardSettings()
_LISTEN = ListenSettings()


class LimitsTable(Table, frozen=True):
    """What one message, one peer and one account may use. A rate of 0 is no limit."""

    message_size: Annotated[Size, MESSAGE, key("The largest message in octets.")] = Size(
        _RULES.max_size
    )
    recipients: Annotated[
        int,
        between(100, 100_000),
        key("Recipients of one message (RFC 5321 demands at least 100)."),
    ] = _RULES.max_recipients
    connections: Annotated[int, CONNECTIONS, key("Connections at once to one port, all peers.")] = (
        _LISTEN.connections
    )
    connections_per_address: Annotated[
        int, CONNECTIONS, key("Connections at once to one port from one address.")
    ] = _LISTEN.connections_per_ip
    connections_per_minute: Annotated[
        int,
        RATE,
        key("New connections of one stranger (IPv6: one /64); not of trusted networks."),
    ] = _RULES.connections_per_minute
    messages_per_minute: Annotated[
        int, RATE, key("Messages of one stranger; not of logins and trusted networks.")
    ] = _RULES.messages_per_minute
    recipients_per_hour: Annotated[
        int, RATE, key("Recipients of one login: what a stolen password can send.")
    ] = _RULES.recipients_per_hour
    trusted_recipients_per_hour: Annotated[
        int,
        RATE,
        key(
            "Recipients of one address of `trusted` networks without a login (IPv6: one /64): what "
            "a program that was taken over can send."
        ),
    ] = _RULES.trusted_recipients_per_hour
    free_space: Annotated[
        Annotated[Size, between(0, 1024**5)] | None,
        key(
            "Octets of the disk that are kept free: below it new mail is told to come later, and "
            "what is queued goes on. Without it one and a half of the largest message, and at "
            "least 5 % of the disk where that is less than 1 GiB. 0: until it is full."
        ),
    ] = None


class SubmissionTable(Table, frozen=True):
    """What one login may send, so that a stolen password is noticed before it has done much harm.
    A day begins at midnight UTC; 0 is any number. `merpati user quotas` has other figures for
    single accounts, `--application` none for programs that write to many."""

    messages_per_day: Annotated[
        int, RATE, key("Messages of one login; more are told to come the next day.")
    ] = _GUARD.messages
    recipients_per_day: Annotated[
        int, RATE, key("Recipients of one login, each as often as it is named.")
    ] = _GUARD.recipients
    new_recipients_per_day: Annotated[
        int,
        RATE,
        key(
            "Recipients in domains elsewhere that the login never wrote to before, as far as a "
            "year back. One more suspends it."
        ),
    ] = _GUARD.strangers
    unknown_recipients_per_hour: Annotated[
        int,
        RATE,
        key("Recipients of one login whom their hosts do not know. One more suspends it."),
    ] = _GUARD.unknown
    check_from: Annotated[
        bool,
        key(
            "Refuse a login's message whose From names an address here that the login may not send "
            "as (`merpati user senders`): it would be signed as if it came from its owner."
        ),
    ] = True
    suspend: Annotated[
        bool,
        key(
            "Suspend accounts by itself: they send nothing, what is queued of them is held, owner "
            "and postmaster are told, until `merpati user resume`. Without it what goes beyond "
            "`new_recipients_per_day` is told to come the next day."
        ),
    ] = _GUARD.suspends
