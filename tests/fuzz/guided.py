"""One target under atheris: python -m tests.fuzz.guided MODULE NAME [libFuzzer's options, corpora].

Coverage of Merpati guides the mutation. A finding ends the process with its trace.
"""

import importlib
import sys

import atheris

_AREAS = ["merpati", "dns.message", "dns.wire", "dns.rdata", "dns.name", "dns.rdtypes"]


def main() -> None:
    """Run until libFuzzer's limits; never returns."""
    area, name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=_AREAS):
        targets = importlib.import_module(area).TARGETS
    target = next(one for one in targets if one.name == name)
    # libFuzzer begins itself anew to merge corpora, by the words that it was called with.
    again = f"{sys.executable} -m tests.fuzz.guided {area} {name}"
    atheris.Setup([again, *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
