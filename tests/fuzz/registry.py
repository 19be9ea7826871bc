"""Every target: one for each parser of outside bytes."""

from collections.abc import Mapping

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    authenticity,
    authority,
    bimi,
    certificates,
    changes,
    client,
    dmarc,
    faces,
    identity,
    kept,
    login,
    message,
    network,
    outsiders,
    reports,
    server,
    setup,
    spf,
    transport,
)

TARGETS: Mapping[str, Target] = {
    target.name: target
    for area in (
        server,
        client,
        login,
        identity,
        outsiders,
        message,
        network,
        changes,
        authenticity,
        bimi,
        certificates,
        authority,
        spf,
        dmarc,
        kept,
        faces,
        transport,
        reports,
        setup,
    )
    for target in area.TARGETS
}
