"""Every target: one for each parser of outside bytes."""

from collections.abc import Mapping

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    authenticity,
    bimi,
    certificates,
    client,
    dmarc,
    faces,
    identity,
    kept,
    login,
    message,
    network,
    reports,
    server,
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
        message,
        network,
        authenticity,
        bimi,
        certificates,
        spf,
        dmarc,
        kept,
        faces,
        transport,
        reports,
    )
    for target in area.TARGETS
}
