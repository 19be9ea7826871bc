"""Everything about a domain's records, asked for and judged."""

from merpati.dns.resolver import Resolver
from merpati.setup.finding import Finding, judge
from merpati.setup.following import follow
from merpati.setup.plan import Subject, plan
from merpati.setup.seen import Witness


async def survey(subject: Subject, witness: Witness, resolver: Resolver) -> tuple[Finding, ...]:
    """Each record to publish and how it is now. Never raises for anything that the DNS says.

    What a domain's records lead to in other domains is asked for at the resolver.
    """
    before = await witness.look(subject.places)
    followed = await follow(subject, before, resolver)
    records = plan(subject, before, followed.spf_record)
    wanted = {(record.kind, record.name) for record in records if record.value}
    seen = before.with_more(await witness.look(wanted - before.values.keys()))
    return judge(subject, records, seen, followed)
