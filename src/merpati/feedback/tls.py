"""A report about TLS (RFC 8460 §4): how sessions with a domain's hosts went.

The names of the fields are those of the JSON, with `_` for `-`; `report.tlsrpt` reads and writes
it. What strangers write is bounded here: counts, texts and lists.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

MAX_POLICIES = 1000
"""Of one report; honest ones have a few."""
MAX_DETAILS = 5000
"""Of one policy."""
_Text = Annotated[str, Meta(max_length=1000)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class PolicyType(Enum):
    """What a domain demanded (RFC 8460 §4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class ResultType(Enum):
    """How a session failed (RFC 8460 §4.3); what others write beside these is text."""

    NO_STARTTLS = "starttls-not-supported"
    WRONG_NAME = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    FAILED = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    FETCH_FAILED = "sts-policy-fetch-error"
    POLICY_INVALID = "sts-policy-invalid"
    POLICY_HOST = "sts-webpki-invalid"


class _Part(Struct, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """A JSON object of the report."""


class DateRange(_Part, frozen=True):
    """The time that the report is about."""

    start_datetime: datetime
    end_datetime: datetime


class Policy(_Part, frozen=True):
    """What was demanded, as the reporter saw it."""

    policy_type: _Text
    policy_domain: _Text
    policy_string: Annotated[tuple[_Text, ...], Meta(max_length=1000)] = ()
    mx_host: Annotated[tuple[_Text, ...], Meta(max_length=1000)] | _Text = ()
    """Patterns of the policy; some write one as a text."""


class Summary(_Part, frozen=True, omit_defaults=False):
    """Sessions in all."""

    total_successful_session_count: _Count
    total_failure_session_count: _Count


class Detail(_Part, frozen=True):
    """Sessions that failed in one way."""

    result_type: _Text
    failed_session_count: _Count
    sending_mta_ip: _Text = ""
    receiving_mx_hostname: _Text = ""
    receiving_mx_helo: _Text = ""
    receiving_ip: _Text = ""
    additional_information: _Text = ""
    failure_reason_code: _Text = ""


class PolicyResult(_Part, frozen=True):
    """How sessions went under one policy."""

    policy: Policy
    summary: Summary
    failure_details: Annotated[tuple[Detail, ...], Meta(max_length=MAX_DETAILS)] = ()


class TlsReport(_Part, frozen=True):
    """A whole report."""

    organization_name: _Text
    date_range: DateRange
    contact_info: _Text
    report_id: _Text
    policies: Annotated[tuple[PolicyResult, ...], Meta(max_length=MAX_POLICIES)]
