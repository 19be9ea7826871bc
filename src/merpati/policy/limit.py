"""Limits that turn somebody away, by the names under which they are counted, journaled, listed.

Those of merpati.toml are called as there (`[limits]`, `[authenticity]`, `[submission]`, `[[port]]`,
`[http]`). `journal.limits` has two names besides, of what the system has no room for and of what
is refused too often to be journaled. All are a small closed set: whom it concerned is no part.
"""

from enum import Enum


class Limit(Enum):
    """What was hit."""

    MESSAGE_SIZE = "message_size"
    RECIPIENTS = "recipients"
    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    CONNECTIONS_PER_MINUTE = "connections_per_minute"
    MESSAGES_PER_MINUTE = "messages_per_minute"
    RECIPIENTS_PER_HOUR = "recipients_per_hour"
    TRUSTED_RECIPIENTS_PER_HOUR = "trusted_recipients_per_hour"
    FREE_SPACE = "free_space"
    REPLAY_RECIPIENTS = "replay_recipients"
    MESSAGES_PER_DAY = "messages_per_day"
    RECIPIENTS_PER_DAY = "recipients_per_day"
    NEW_RECIPIENTS_PER_DAY = "new_recipients_per_day"
    UNKNOWN_RECIPIENTS_PER_HOUR = "unknown_recipients_per_hour"
    """One that suspends; what is unknown is learned long after the message was taken."""

    # What nobody can set.
    BUSY = "too busy"
    SLOTS = "slots are short"
    SLOW = "too slow while slots are short"
    CERTIFICATES = "client certificates refused"
    FAILED_LOGINS = "failed logins"
    WAITING_LOGINS = "logins that wait to be checked"
    UNKNOWN_RECIPIENTS = "unknown recipients"
    LARGE_MESSAGES = "large messages at once"
    IDLE_COMMANDS = "commands that get no mail further"
