"""Everything about a domain's records, asked for and judged."""

from merpati.dns.resolver import Resolver
from merpati.setup.finding import Finding, judge
from merpati.setup.plan import Subject, plan
from merpati.setup.record import Kind
from merpati.setup.seen import Witness
from merpati.setup.spf import lookups, spf_records


async def survey(subject: Subject, witness: Witness, resolver: Resolver) -> tuple[Finding, ...]:
    """Each record to publish and how it is now. Never raises for anything that the DNS says.

    What a domain's SPF record leads to in other domains is asked for at the resolver.
    """
    before = await witness.look(subject.places)
    records = plan(subject, before)
    wanted = {(record.kind, record.name) for record in records if record.value}
    seen = before.with_more(await witness.look(wanted - before.values.keys()))
    there = spf_records(seen.at(Kind.TXT, subject.domain) or ())
    count = await lookups(there[0], resolver) if there else 0
    return judge(subject, records, seen, count)
