"""How a conversation begins: greeting, EHLO, STARTTLS, EHLO again, AUTH (RFC 5321 §3.1, §3.2).

Security was decided before the connection was made; nothing that a stranger says in the clear can
lower it. What was said is kept for the journal, without credentials.
"""

from collections.abc import Callable

from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import Waive, Waived
from merpati.delivery.link import Link
from merpati.delivery.security import RESULTS, Policy, Security
from merpati.delivery.transaction import TlsDemand, Way
from merpati.delivery.verdicts import STAGES, meaning_of
from merpati.diagnosis.replies import Stage
from merpati.feedback.tls import ResultType
from merpati.journal.events import MAX_TEXT, Exchange
from merpati.mail.trace import Tls
from merpati.smtp.answers import Answer, Nonsense
from merpati.smtp.client_events import (
    Greeted,
    HelloAnswered,
    LoginAnswered,
    ShutDown,
    TlsAnswered,
)
from merpati.smtp.client_states import Command
from merpati.smtp.sasl.exchange import SaslError
from merpati.smtp.sasl.external import EXTERNAL
from merpati.smtp.sasl.mechanisms import ClientSide, Credentials, choose
from merpati.wire.errors import CertificateError, TlsError, WireError

_DEMANDS = {
    Policy.DANE: "DANE demands it (TLSA records)",
    Policy.STS_ENFORCE: "MTA-STS demands it",
}
_Answered = Greeted | HelloAnswered | TlsAnswered | LoginAnswered


class Opening:
    """Brings a fresh link to where transactions may begin."""

    def __init__(
        self, link: Link, way: Way, security: Security, tls_seconds: float, nonce: Callable[[], str]
    ) -> None:
        self.dialogue: list[Exchange] = []
        self.tls: Tls | None = None
        self.proof = ""
        """How the handshake proved who the host is; empty: not at all."""
        self.check = ""
        """What a check of the certificate comes to that nothing was demanded of."""
        self.failure = security.failure
        """What TLS lacked."""
        self.waive: Waive | None = None
        """What failed though it was only wished for: the next connection goes without."""
        self._link = link
        self._way = way
        self._security = security
        self._tls_seconds = tls_seconds
        self._nonce = nonce
        self._stage = Stage.CONNECT

    async def perform(self) -> End | None:
        """None: ready. Never raises for what a host does."""
        try:
            return await self._perform()
        except TlsError as error:
            return self._tls_failed(str(error), _result(error), waived=self._blamed(error))
        except WireError as error:
            lost = Ending.UNREACHABLE if self._stage is Stage.CONNECT else Ending.LOST
            return End(lost, str(error), self._stage)

    async def _perform(self) -> End | None:
        if self._security.implicit:
            await self._shake_hands()
        return (
            await self._expect("", Command.GREETING)
            or await self._hello()
            or await self._secure()
            or await self._log_in()
        )

    async def _expect(self, sent: str, command: Command) -> End | None:
        """Send, wait for the reply, write it down. None: it was positive."""
        self._stage = STAGES[command]
        event = await self._link.event()
        if not isinstance(event, _Answered | ShutDown):
            nonsense = event if isinstance(event, Nonsense) else Nonsense("a reply out of turn")
            self.dialogue.append(Exchange(sent, repr(nonsense.octets)))
            return End(Ending.CONFUSED, nonsense.why, self._stage)
        answer = event.answer
        self.dialogue.append(Exchange(sent, str(answer)[:MAX_TEXT]))
        if isinstance(event, LoginAnswered) and event.error:
            return End(Ending.AUTH_FAILED, event.error, self._stage)
        return None if answer.is_positive else self._refused(command, answer)

    def _refused(self, command: Command, answer: Answer) -> End:
        ending = Ending.TURNED_AWAY
        if command is Command.AUTH and answer.code >= 500:
            ending = Ending.AUTH_FAILED
        return End(ending, str(answer), STAGES[command], meaning_of(command, answer))

    async def _hello(self) -> End | None:
        smtp = self._link.smtp
        smtp.hello()
        refused = await self._expect("LHLO" if self._way.lmtp else "EHLO", Command.HELLO)
        if refused is None or refused.ending is not Ending.TURNED_AWAY:
            return refused
        # RFC 5321 §3.2: a server that does not know EHLO is greeted with HELO.
        if not self._may_say_helo(refused):
            return refused
        smtp.hello()
        return await self._expect("HELO", Command.HELLO)

    def _may_say_helo(self, refused: End) -> bool:
        return not self._way.lmtp and refused.why.startswith(("500", "501", "502", "504", "550"))

    async def _secure(self) -> End | None:
        if self._security.implicit or self._security.demand is TlsDemand.OFF:
            return None
        if not self._link.smtp.capabilities.offers("STARTTLS"):
            return self._without_starttls()
        self._link.smtp.start_tls()
        refused = await self._expect("STARTTLS", Command.STARTTLS)
        if refused is not None:
            return self._without_tls(refused)
        if self._link.stream.pending:
            return self._tls_failed("octets in the clear behind the 220 to STARTTLS")
        await self._shake_hands()
        self._link.smtp.secured()
        return await self._hello()

    def _without_starttls(self) -> End | None:
        self.failure = ResultType.NO_STARTTLS
        if self._security.may_fall_back:
            return None
        return self._tls_failed(self._missing(), self.failure)

    def _without_tls(self, refused: End) -> End | None:
        """After a plain no we go on where TLS was only a wish; a good-bye is one."""
        if refused.why.startswith("421"):
            return refused
        self.failure = ResultType.NO_STARTTLS
        if refused.ending is Ending.TURNED_AWAY and self._security.may_fall_back:
            return None
        return self._tls_failed(refused.why, self.failure)

    async def _shake_hands(self) -> None:
        self._stage = Stage.STARTTLS
        security = self._security
        self._link.allow(self._tls_seconds)
        tls = await self._link.stream.secure(security.context(), security.name or None)
        self.tls = tls
        self.proof = security.proof(tls.chain, self._link.now())
        if not self.proof:
            self.check = security.check(tls.chain, self._link.now())

    def _missing(self) -> str:
        demanded = _DEMANDS.get(self._security.policy)
        return f"TLS is not offered, though {demanded}" if demanded else "TLS is not offered"

    def _tls_failed(
        self, why: str, failure: ResultType = ResultType.FAILED, waived: Waived = Waived.TLS
    ) -> End:
        self.failure = failure
        if self._security.may_fall_back:
            self.waive = Waive(waived, failure)
        return End(Ending.TLS_FAILED, why, Stage.STARTTLS)

    def _blamed(self, error: TlsError) -> Waived:
        """Whether only the check failed, or all of TLS."""
        by_check = self._security.tests and isinstance(error, CertificateError)
        return Waived.PROOF if by_check else Waived.TLS

    async def _log_in(self) -> End | None:
        mechanisms = self._link.smtp.capabilities.mechanisms
        # A host may take our certificate without a word of ours (by its fingerprint, say).
        if not (self._way.username or (self._shows_certificate and EXTERNAL in mechanisms)):
            return None
        try:
            exchange = choose(mechanisms, self._side())
        except SaslError as error:
            return End(Ending.AUTH_FAILED, str(error), Stage.AUTH)
        if exchange is None:
            offered = " ".join(mechanisms) or "none"
            why = f"no AUTH mechanism in common; offered: {offered}"
            return End(Ending.AUTH_FAILED, why, Stage.AUTH)
        self._link.smtp.log_in(exchange)
        return await self._expect(f"AUTH {exchange.mechanism}", Command.AUTH)

    @property
    def _shows_certificate(self) -> bool:
        return self.tls is not None and self._way.certificate is not None

    def _side(self) -> ClientSide:
        tls = self.tls
        return ClientSide(
            Credentials(
                self._way.username, self._way.password, certificate=self._shows_certificate
            ),
            self._nonce(),
            encrypted=tls is not None,
            # `tls = "off"` with a login is an operator's word about this one route.
            trusted_path=self._security.demand is TlsDemand.OFF,
            channel_bindings=tls.channel_bindings if tls else (),
            host=self._security.name,
        )


def _result(error: TlsError) -> ResultType:
    return RESULTS[error.flaw] if isinstance(error, CertificateError) else ResultType.FAILED
