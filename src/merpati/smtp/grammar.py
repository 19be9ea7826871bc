"""The grammar of commands: ABNF as the RFCs have it, then the regular expression.

Each expression is linear in time: possessive repetition, and no two branches of an alternative
begin alike. Text is already decoded and free of controls when it comes here.
"""

import re

# RFC 5321 §4.1.1.1:
#   ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
# Wider than Domain in what clients say of themselves ("_", a final dot), so that a badly named
# printer can send; nothing in it can break out of a Received field.
HELLO_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[A-Za-z0-9.:-]{1,253}\]")

# RFC 5321 §4.1.1.2, §4.1.1.3:
#   mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
#   rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )
#               [SP Rcpt-parameters] CRLF
# Spaces before "<" are wrong and common; nobody is harmed when they are passed over.
_PATH = r' *+<((?:[^"<>]++|"(?:[^"\\]++|\\.)*+")*+)>(?: ++(.*))?'
REVERSE_PATH = re.compile(r"[Ff][Rr][Oo][Mm]:" + _PATH)
FORWARD_PATH = re.compile(r"[Tt][Oo]:" + _PATH)

# RFC 5321 §4.1.2, and appendix C: the source route is taken and ignored.
#   A-d-l     = At-domain *( "," At-domain )
#   At-domain = "@" Domain
_AT_DOMAIN = r"@(?:\[[^\[\]]*+\]|[^\[\]\"@,:]++)"
SOURCE_ROUTE = re.compile(rf"{_AT_DOMAIN}(?:,{_AT_DOMAIN})*+:")

# RFC 5321 §4.1.2, its value widened by RFC 6531 §3.3:
#   esmtp-param   = esmtp-keyword ["=" esmtp-value]
#   esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
#   esmtp-value   = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)
PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([^\0- =\x7f]++))?")

# RFC 6531 §3.1: VRFY and EXPN may say that their reply may be UTF-8. Ours are ASCII either way.
NAME_WITH_SMTPUTF8 = re.compile(r"([^ ].*) [Ss][Mm][Tt][Pp][Uu][Tt][Ff]8")

# RFC 3461 §4:
#   xtext   = *( xchar / hexchar )  ; nothing else
#   xchar   = any ASCII CHAR between "!" (33) and "~" (126), except for "+" and "="
#   hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits
XTEXT = re.compile(r"(?:[!-*,-<>-~]++|\+[0-9A-F]{2})*+")
HEXCHAR = re.compile(r"\+([0-9A-F]{2})")

# RFC 3461 §4.2, with the type `utf-8` and its escapes from RFC 6533 §3:
#   original-recipient-address = addr-type ";" xtext
#   EmbeddedUnicodeChar        = "\x{" HEXPOINT "}"
ORIGINAL_RECIPIENT = re.compile(r"([A-Za-z0-9-]++);(.++)")
EMBEDDED_UNICODE = re.compile(r"\\x\{([0-9A-F]{2,6})\}")

# RFC 1870 §3:
#   size-value = 1*20DIGIT
SIZE = re.compile(r"[0-9]{1,20}")

# RFC 3030 §2:
#   bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
#   chunk-size = 1*DIGIT
#   end-marker = "LAST"
BDAT = re.compile(r"([0-9]{1,20})( ++[Ll][Aa][Ss][Tt])?")

# RFC 4954 §4:
#   AUTH mechanism [initial-response]
# RFC 4422 §3.1:
#   sasl-mech = 1*20mech-char
AUTH = re.compile(r"([A-Za-z0-9_-]{1,20})(?: ++([A-Za-z0-9+/=]++))?")

# RFC 4954 §8:
#   base64          = base64-terminal / ( 1*(4base64-CHAR) [base64-terminal] )
#   base64-terminal = (2base64-char "==") / (3base64-char "=")
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

# RFC 2852 §4:
#   by-value = by-time ";" by-mode [by-trace]
#   by-time  = ["-" / "+"] 1*9digit
DELIVER_BY = re.compile(r"([+-]?[0-9]{1,9});([NRnr])([Tt])?")

# RFC 4865 §3:
#   future-release-integer = 1*9DIGIT
# and RFC 3339 §5.6 with "Z" (erratum 2040):
HOLD_FOR = re.compile(r"[0-9]{1,9}")
HOLD_UNTIL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?[Zz]"
)

# RFC 6710 §6:
#   priority-value = (["-"] NZDIGIT) / "0"
PRIORITY = re.compile(r"-?[1-9]|0")

# The controls that no command may hold: a NUL, an escape or a tab has no place in any of them.
CONTROL = re.compile(r"[\0-\x1f\x7f]")
