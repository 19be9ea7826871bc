"""Times on the command line."""

import click

from merpati.config.values import Duration


class Age(click.ParamType[float]):
    """A time as merpati.toml has it."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds of `90s`, `15m`, `4h`, `5d`."""
        try:
            # A plain number, since the question may travel to the server as JSON.
            return float(Duration.parse(int(value) if str(value).isdigit() else value))  # type: ignore[call-overload]  # digits only
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
