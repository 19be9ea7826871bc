"""Times on the command line."""

import click

from merpati.config.values import Duration


class Age(click.ParamType[float]):
    """A time as merpati.toml has it."""

    name = "time"

    def __init__(self, longest: float = 365_000 * 86400.0) -> None:
        """`longest` in seconds: what is infinite would be no limit at all in JSON."""
        self._longest = longest

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds of `90s`, `15m`, `4h`, `5d`."""
        try:
            # A plain number, since the question may travel to the server as JSON.
            found = Duration.parse(int(value) if str(value).isdigit() else value)  # type: ignore[call-overload]  # digits only
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
        if found > self._longest:
            self.fail(f"{value!r} is longer than {Duration(self._longest)}", param, ctx)
        return float(found)
