"""`merpati domain logo`: whether a logo and its certificate are what receivers of BIMI show."""

from pathlib import Path

import click

from merpati.cli.output import clean, say_json

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("domain")
@click.argument("logo", type=_FILE)
@click.option("--certificate", type=_FILE, help="Its certificate (VMC or CMC) with the chain, PEM.")
@click.option("--authorities", type=_FILE, help="PEM file of the authorities for marks to trust.")
@click.option("--selector", default="default", show_default=True, help="Of the BIMI record.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def logo(  # noqa: PLR0913 - click gives each option by name
    ctx: click.Context,
    domain: str,
    logo: Path,
    *,
    certificate: Path | None,
    authorities: Path | None,
    selector: str,
    as_json: bool,
) -> None:
    """Look at the file LOGO for DOMAIN before it is published, and at its certificate.

    Nothing is fetched. Ends with status 1 if something is wrong.
    """
    # Only this command needs them, and they take time to load.
    from merpati.authenticity.bimi.indicator import MAX_OCTETS, flaws_of

    octets = _read(logo, MAX_OCTETS)
    flaws = [f"{logo}: {flaw}" for flaw in flaws_of(octets)]
    if certificate:
        flaws += _flaws_of_certificate(certificate, authorities, (domain, selector), octets)
    if as_json:
        say_json(flaws)
    for flaw in [] if as_json else flaws or ["Nothing is known against it."]:
        click.echo(clean(flaw))
    ctx.exit(1 if flaws else 0)


def _flaws_of_certificate(
    file: Path, authorities: Path | None, claim: tuple[str, str], logo: bytes
) -> list[str]:
    from merpati.authenticity.bimi.evidence import MAX_OCTETS, Claim, authorities_in, examine
    from merpati.clock import SystemClock

    domain, selector = claim
    trusted = authorities_in(_read(authorities, MAX_OCTETS)) if authorities else ()
    wanted = Claim(domain.lower().rstrip("."), selector.lower())
    found = examine(_read(file, MAX_OCTETS), wanted, SystemClock().now(), trusted)
    flaws = [f"{file}: {flaw}" for flaw in found.flaws]
    if found.logo and found.logo != logo:
        flaws.append(f"{file}: the logo in it is another")
    return flaws


def _read(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(most + 1)
