"""What merpati.toml says, in the settings of each part."""

import ipaddress
from dataclasses import dataclass, replace

from merpati.authenticity.examiner import ExaminerSettings
from merpati.config.document import Language
from merpati.config.settings import Settings
from merpati.config.tables.authenticity import Dmarc, UnclearFrom
from merpati.config.tables.forwarding import Seal
from merpati.config.tables.port import PortTable
from merpati.delivery.mx import MxSettings
from merpati.delivery.settling import SettlingSettings
from merpati.directory.directory import Directory
from merpati.directory.expansion import Expander, Returns
from merpati.dns.client import DnsSettings
from merpati.feedback.feedback import Room
from merpati.intake import IntakeSettings
from merpati.mail.address import Address
from merpati.policy.forwarding import ForwardingSettings
from merpati.policy.guard import GuardSettings
from merpati.policy.replay import ReplaySettings
from merpati.policy.rules.dmarc import DmarcSettings
from merpati.policy.rules.limits import LimitSettings
from merpati.policy.rules.space import Disk, kept_free
from merpati.policy.rules.table import RuleSettings
from merpati.queue.schedule import Schedule
from merpati.reception.port import Network, PortSettings, Role
from merpati.report.dsn import NoticeSettings
from merpati.wire.listen import ListenSettings

_LOGIN_ROLES = {Role.SUBMISSION, Role.SUBMISSIONS}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Maps names and nothing else; defaults are the parts' own."""

    settings: Settings

    def port(self, table: PortTable) -> PortSettings:
        """Of one door."""
        limits = self.settings.document.limits
        return PortSettings(
            role=table.role,
            hostname=self.settings.hostname,
            trusted=_networks(table.trusted),
            xclient=_networks(table.xclient),
            auth_without_tls=table.auth_without_tls,
            client_certificates=table.client_certificates,
            max_size=int(table.message_size or limits.message_size),
            max_recipients=limits.recipients,
            # Of all workers together, and they share evenly.
            connections=-(-(table.connections or limits.connections) // self.settings.workers),
        )

    def listener(self, table: PortTable) -> ListenSettings:
        """Of one door's connections."""
        limits = self.settings.document.limits
        return ListenSettings(
            name=str(table.listen),
            connections=table.connections or limits.connections,
            connections_per_ip=limits.connections_per_address,
            proxies=_networks(table.proxy),
        )

    def rules(self, table: PortTable) -> RuleSettings:
        """Of one door's judge."""
        return RuleSettings(
            self.limits(table.message_size),
            login_required=table.role in _LOGIN_ROLES,
            names_logins=bool(table.xclient),
            port=str(table.listen),
            free_space=self.settings.document.limits.free_space,
            checks_from=self.settings.document.submission.check_from,
            dmarc=self._dmarc() if self.examines(table) else None,
            replay=self._replay(),
            inbox=self.settings.is_inbox,
        )

    def examines(self, table: PortTable) -> bool:
        """Whether a door looks at the authenticity of what strangers bring."""
        is_asked = self.settings.document.authenticity.check
        return is_asked and table.role is Role.MX and not self.settings.is_inbox

    def _dmarc(self) -> DmarcSettings:
        told = self.settings.document.authenticity
        return DmarcSettings(
            enforce=told.dmarc is Dmarc.ENFORCE,
            refuse_unclear=told.unclear_from is UnclearFrom.REFUSE,
        )

    def _replay(self) -> ReplaySettings:
        told = self.settings.document.authenticity
        return ReplaySettings(told.replay_recipients, told.replay)

    def examiner(self) -> ExaminerSettings:
        """Of who looks at the authenticity of strangers' mail."""
        sealers = self.settings.document.authenticity.trusted_sealers
        return ExaminerSettings(trusted_sealers=frozenset(map(str, sealers)))

    def own_port(self) -> PortSettings:
        """Of the socket for programs on this machine."""
        limits = self.settings.document.limits
        return PortSettings(
            role=Role.MX,
            hostname=self.settings.hostname,
            max_size=int(limits.message_size),
            max_recipients=limits.recipients,
        )

    def own_rules(self) -> RuleSettings:
        """Of what programs on this machine hand in; rates are for strangers, who are not here."""
        return RuleSettings(
            replace(self.limits(None), trusted_recipients_per_hour=0),
            free_space=self.settings.document.limits.free_space,
            inbox=self.settings.is_inbox,
        )

    def limits(self, max_size: int | None) -> LimitSettings:
        """What one message, one peer, one account may use."""
        limits = self.settings.document.limits
        return LimitSettings(
            max_size=int(max_size or limits.message_size),
            max_recipients=limits.recipients,
            connections_per_minute=limits.connections_per_minute,
            messages_per_minute=limits.messages_per_minute,
            recipients_per_hour=limits.recipients_per_hour,
            trusted_recipients_per_hour=limits.trusted_recipients_per_hour,
        )

    def kept_free(self, disk: Disk) -> int:
        """Octets of the disk below which some port takes no mail: that with the largest."""
        document = self.settings.document
        sizes = [int(port.message_size or 0) for port in document.port]
        largest = max([int(document.limits.message_size), *sizes])
        return kept_free(disk, largest, document.limits.free_space)

    def guard(self) -> GuardSettings:
        """Of who watches over accounts."""
        told = self.settings.document.submission
        return GuardSettings(
            messages=told.messages_per_day,
            recipients=told.recipients_per_day,
            strangers=told.new_recipients_per_day,
            unknown=told.unknown_recipients_per_hour,
            suspends=told.suspend,
        )

    def intake(self) -> IntakeSettings:
        """Of the door into the queue."""
        expire = self.settings.document.queue.expire
        return IntakeSettings(self.settings.hostname, max_age=float(expire))

    def forwarding(self) -> ForwardingSettings | None:
        """Of mail that aliases lead elsewhere; None where nothing leaves."""
        if self.settings.is_inbox:
            return None
        told = self.settings.document.forwarding
        return ForwardingSettings(
            self.settings.hostname,
            rewrite=told.rewrite_sender,
            domain=str(told.domain or ""),
            seals=Seal.ARC in told.seal,
        )

    def postmaster(self) -> Address | None:
        """Who reads what is sent to the postmaster."""
        told = self.settings.document.postmaster
        return Address.parse(told) if told else None

    def expander(self, directory: Directory, returns: Returns | None = None) -> Expander:
        """Of addresses here; `returns` knows those that notices of sent on mail come back to."""
        told = self.settings.document.reports.names
        names = () if self.settings.is_inbox else tuple(map(str, told))
        return Expander(directory, self.settings.hostname, self.postmaster(), names, returns)

    def room(self) -> Room:
        """Of what others report."""
        told = self.settings.document.reports
        return Room(float(told.age), told.count, int(told.size))

    def schedule(self) -> Schedule:
        """Of attempts."""
        return Schedule(tuple(map(float, self.settings.document.queue.retry)))

    def settling(self) -> SettlingSettings:
        """Of what outcomes mean."""
        return SettlingSettings(delay_notice=float(self.settings.document.queue.delay_notice))

    def mx(self) -> MxSettings:
        """Of finding hosts, so that mail is never sent to ourselves."""
        document = self.settings.document
        own = frozenset((one.listen.ip, one.listen.port) for one in document.port if one.listen.ip)
        return MxSettings(self.settings.hostname, own, port=document.delivery.mx_port)

    def notices(self) -> NoticeSettings:
        """Of notices: the configured language first."""
        first = self.settings.document.language.value
        others = [one.value for one in Language if one.value != first]
        return NoticeSettings(self.settings.hostname, (first, *others))

    def dns(self) -> DnsSettings:
        """Whom the DNS is asked of."""
        dns = self.settings.document.dns
        servers = tuple((server.ip, server.port) for server in dns.servers)
        return DnsSettings(servers=servers, trusted=dns.trusted)

    def dns_of_doors(self) -> DnsSettings:
        """The same for examining what comes in. A stranger's name servers may answer as slowly as
        they like, so questions are many at a time: more than sessions could be examined before
        connections themselves become short, not the few that deliveries need."""
        return replace(self.dns(), concurrency=200, late=2000)

    @property
    def uses_dane(self) -> bool:
        """Whether hosts are asked for what their zones promise: not where nobody validates."""
        document = self.settings.document
        return document.dns.trusted and document.delivery.dane


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)
