"""Which way mail goes, and how a way is written (RFC 8314)."""

from dataclasses import replace

import pytest

from merpati.delivery.route import BY_MX, KEEP, MAILBOX, Kind, RouteError, Routes, parse_route
from merpati.delivery.transaction import Switches, TlsDemand
from merpati.testing.residents import Residents
from tests.cases import each


def here(*domains):
    return Residents(domains=set(domains))


@each(
    ("to", "host", "port", "lmtp", "implicit"),
    [
        ("smtp://mx.a.test", "mx.a.test", 25, False, False),
        ("smtp://[2001:db8::1]:2525", "2001:db8::1", 2525, False, False),
        ("smtps://mx.a.test", "mx.a.test", 465, False, True),
        ("lmtp://127.0.0.1:24", "127.0.0.1", 24, True, False),
        ("lmtp:unix:/run/lmtp", "/run/lmtp", 0, True, False),
    ],
)
def test_a_host_is_named_by_scheme_host_and_port(to, host, port, lmtp, implicit):
    route = parse_route(to)
    assert (route.kind, route.host, route.port) == (Kind.HOST, host, port)
    assert (route.lmtp, route.implicit_tls) == (lmtp, implicit)


@each(
    ("to", "says"),
    [
        ("", "is no route"),
        ("mx.a.test:25", "is no route"),
        ("http://a.test", "is no route"),
        ("smtp:mx.a.test", "is no route"),
        ("smtp://", "names no host"),
        ("smtp://a b", "names no host"),
        ("smtp://a.test:99999", "up to 65535"),
        ("smtp://a.test:zwei", "up to 65535"),
        ("smtp://a.test:0", "port 0"),
        ("smtp://a.test/path", "nothing may follow"),
        ("smtp://[::1", "allowed"),
        ("lmtp:unix:relative", "absolute path"),
        ("smtp://ann@a.test", "both user and password"),
    ],
)
def test_what_is_no_route_is_told_apart(to, says):
    with pytest.raises(RouteError, match=says):
        parse_route(to)


def test_a_password_goes_nowhere_but_over_checked_tls():
    assert parse_route("smtp://ann:p%40ss@a.test").tls is TlsDemand.REQUIRED
    assert parse_route("smtp://ann:p%40ss@a.test").password == "p@ss"
    with pytest.raises(RouteError, match="only with tls = required"):
        parse_route("smtp://ann:secret@a.test", tls=TlsDemand.OPPORTUNISTIC)


def test_a_password_may_stay_on_this_machine_in_the_clear():
    assert parse_route("smtp://ann:x@127.0.0.1", tls=TlsDemand.OFF).tls is TlsDemand.OFF


def test_no_secret_is_in_a_name_a_site_or_an_error():
    route = parse_route("smtp://ann:secret@a.test")
    assert route.name == "smtp://ann@a.test:25"
    assert "secret" not in route.site()
    with pytest.raises(RouteError) as caught:
        parse_route("smtp://ann:secret@a.test:99999")
    assert "secret" not in str(caught.value)


def test_smtps_without_tls_is_a_contradiction():
    with pytest.raises(RouteError, match="first octet"):
        parse_route("smtps://a.test", tls=TlsDemand.OFF)


def test_ways_that_demand_different_tls_are_different_sites():
    wish, must = (parse_route("mx:", tls=tls) for tls in (None, TlsDemand.REQUIRED))
    assert wish.site("mx.a.test") != must.site("mx.a.test")


def test_ways_with_different_switches_are_different_sites():
    plain = parse_route("mx:", ("a.test",))
    told = replace(plain, switches=Switches(lookahead=False, ehlo_ignore=frozenset({"SIZE"})))
    assert plain.site("mx.a.test") == "mx.a.test"
    assert told.site("mx.a.test") == "mx.a.test?lookahead=no&ehlo_ignore=SIZE"
    assert told.way("x").switches == told.switches
    limits = Switches(connections=1, max_messages=2, max_recipients=3)
    assert str(limits) == "connections=1&max_messages=2&max_recipients=3"


def test_local_domains_come_before_routes():
    routes = Routes(here("a.test"), [parse_route("smtp://x.test")])
    assert routes.choose("a.test") is MAILBOX
    assert routes.choose("b.test").host == "x.test"


def test_the_first_match_wins_and_without_one_the_mx_decides():
    exact = parse_route("smtp://exact.test", ["a.test"])
    below = parse_route("smtp://below.test", ["*.a.test"])
    routes = Routes(here(), [exact, below])
    assert routes.choose("a.test") is exact
    assert routes.choose("x.a.test") is below
    assert routes.choose("xa.test") is BY_MX
    assert Routes(here(), [below, exact]).choose("x.a.test") is below
    everything = parse_route("smtp://all.test")
    assert Routes(here(), [everything, exact]).choose("a.test") is everything
    again = Routes(here(), [exact, everything, parse_route("smtp://late.test", ["a.test"])])
    assert again.choose("a.test") is exact
    assert again.choose("b.test") is everything


def test_a_forced_route_takes_the_login_of_the_configured_one():
    configured = parse_route("smtp://ann:x@a.test", ["only.test"])
    routes = Routes(here("b.test"), [configured])
    assert routes.choose("b.test", "smtp://ann@a.test:25") is configured
    assert routes.choose("b.test", "mx:").kind is Kind.MX
    with pytest.raises(RouteError):
        routes.choose("b.test", "nowhere")


def test_the_developers_inbox_keeps_everything():
    assert Routes(here("a.test"), [], keep_all=True).choose("a.test", "mx:") is KEEP
