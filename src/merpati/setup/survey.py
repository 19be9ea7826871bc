"""Everything about a domain's records, asked for and judged."""

from merpati.setup.finding import Finding, judge
from merpati.setup.plan import Subject, plan
from merpati.setup.record import Kind
from merpati.setup.seen import Lookups, Seen, look
from merpati.setup.spf import lookups, spf_records


async def survey(subject: Subject, resolver: Lookups) -> tuple[Finding, ...]:
    """Each record to publish and how it is now. Never raises for anything that the DNS says."""
    before = await look(resolver, subject.places)
    records = plan(subject, before)
    wanted = {(record.kind, record.name) for record in records if record.value}
    after = await look(resolver, wanted - before.values.keys())
    seen = Seen({**before.values, **after.values})
    there = spf_records(seen.at(Kind.TXT, subject.domain) or ())
    count = await lookups(there[0], resolver) if there else 0
    return judge(subject, records, seen, count)
