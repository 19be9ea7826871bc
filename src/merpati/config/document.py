"""merpati.toml as it may be written: every table and key with its type, default and meaning.

This is the one table of keys: reading, `merpati config explain` and docs/configuration.md use it.
Defaults are those of the parts that use the settings; None means that there is none.
The larger tables are in config/tables, one noun a file.
"""

from enum import Enum
from typing import Annotated

from merpati.config.table import Table, between, key
from merpati.config.tables.authenticity import AuthenticityTable
from merpati.config.tables.dns import DnsTable
from merpati.config.tables.forwarding import ForwardingTable
from merpati.config.tables.http import AutoconfigTable, HttpTable, MtaStsTable
from merpati.config.tables.limits import LimitsTable, SubmissionTable
from merpati.config.tables.login import LoginTable
from merpati.config.tables.port import PortTable
from merpati.config.tables.reports import ReportsTable
from merpati.config.tables.route import DeliveryTable, RouteTable
from merpati.config.tls import AcmeTable, TlsTable
from merpati.config.values import Duration, Mailbox
from merpati.delivery.settling import SettlingSettings
from merpati.intake import IntakeSettings
from merpati.queue.schedule import Schedule

_YEAR = 366 * 86400


class Language(Enum):
    """Languages that texts for people exist in."""

    ENGLISH = "en"
    INDONESIAN = "id"


class QueueTable(Table, frozen=True):
    """How long mail is tried."""

    retry: Annotated[
        tuple[Duration, ...],
        between(1, _YEAR),
        key("Waits between attempts, jittered; the last one repeats."),
    ] = tuple(map(Duration, Schedule().delays))
    expire: Annotated[
        Duration,
        between(60, _YEAR),
        key("After this time in the queue a message is given up and returned."),
    ] = Duration(IntakeSettings("").max_age)
    delay_notice: Annotated[
        Duration,
        between(60, _YEAR),
        key("After this time the sender is told once that the message waits."),
    ] = Duration(SettlingSettings().delay_notice)


class RetentionTable(Table, frozen=True):
    """How long is remembered what happened."""

    journal: Annotated[
        Duration,
        between(3_600, 36_500 * 86400),
        key("Age at which the story of a message is forgotten."),
    ] = Duration(30 * 86400)


class LogTable(Table, frozen=True):
    """What is written to standard output while the server runs."""

    events: Annotated[
        bool, key("Every event of every message as a line of JSON; the journal has them anyway.")
    ] = True


class Document(Table, frozen=True):
    """The keys that stand before the first table."""

    hostname: Annotated[
        str,
        key("The name we say in EHLO and banners, which the DNS should know; else the system's."),
    ] = ""
    data: Annotated[
        str, key("The directory of everything we keep, relative to this file. One server each.")
    ] = "var"
    workers: Annotated[
        Annotated[int, between(1, 64)] | None,
        key(
            "Processes that share the work; without it one for each core. Each has a file of its "
            "own for queue and journal."
        ),
    ] = None
    language: Annotated[Language, key("The language of notices and explanations.")] = (
        Language.ENGLISH
    )
    postmaster: Annotated[
        Mailbox | None,
        key(
            "Who reads the postmaster's mail of domains here where nobody has that name. Without "
            "it the first user of the domain, since such mail has to be taken (RFC 5321)."
        ),
    ] = None
    user: Annotated[
        str, key("When started as root: the user to become once the ports are open.")
    ] = ""
    port: tuple[PortTable, ...] = ()
    tls: TlsTable | None = None
    acme: AcmeTable | None = None
    login: LoginTable = LoginTable()
    dns: DnsTable = DnsTable()
    http: HttpTable | None = None
    mta_sts: MtaStsTable | None = None
    autoconfig: AutoconfigTable | None = None
    route: tuple[RouteTable, ...] = ()
    delivery: DeliveryTable = DeliveryTable()
    limits: LimitsTable = LimitsTable()
    submission: SubmissionTable = SubmissionTable()
    authenticity: AuthenticityTable = AuthenticityTable()
    forwarding: ForwardingTable = ForwardingTable()
    queue: QueueTable = QueueTable()
    reports: ReportsTable = ReportsTable()
    retention: RetentionTable = RetentionTable()
    log: LogTable = LogTable()
