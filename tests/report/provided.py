"""Reports as large providers write them and pack them into mail, with names and numbers of ours."""

import base64
import gzip
import io
import json
import zipfile

BEGIN, END = 1_799_884_800, 1_799_971_199
"""The day before the tests' time begins."""
OURS, LIST, STRANGER = "192.0.2.10", "198.51.100.7", "203.0.113.66"

GOOGLE = """\
<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>google.com</org_name>
    <email>noreply-dmarc-support@google.com</email>
    <extra_contact_info>https://support.google.com/a/answer/2466580</extra_contact_info>
    <report_id>{id}</report_id>
    <date_range>
      <begin>{begin}</begin>
      <end>{end}</end>
    </date_range>
  </report_metadata>
  <policy_published>
    <domain>{domain}</domain>
    <adkim>r</adkim>
    <aspf>r</aspf>
    <p>none</p>
    <sp>none</sp>
    <pct>100</pct>
    <np>none</np>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.10</source_ip>
      <count>940</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated>
    </row>
    <identifiers><header_from>{domain}</header_from></identifiers>
    <auth_results>
      <dkim><domain>{domain}</domain><result>pass</result><selector>202610-rsa</selector></dkim>
      <spf><domain>{domain}</domain><result>pass</result></spf>
    </auth_results>
  </record>
  <record>
    <row>
      <source_ip>198.51.100.7</source_ip>
      <count>12</count>
      <policy_evaluated>
        <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>
        <reason><type>local_policy</type><comment>arc=pass</comment></reason>
      </policy_evaluated>
    </row>
    <identifiers><header_from>{domain}</header_from></identifiers>
    <auth_results>
      <dkim><domain>{domain}</domain><result>fail</result><selector>202610-rsa</selector></dkim>
      <spf><domain>list.test</domain><result>pass</result></spf>
    </auth_results>
  </record>
</feedback>
"""
MICROSOFT = """\
<?xml version="1.0"?>
<feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <version>1.0</version>
  <report_metadata>
    <org_name>Enterprise Outlook</org_name>
    <email>dmarcreport@microsoft.com</email>
    <report_id>{id}</report_id>
    <date_range>
      <begin>{begin}</begin>
      <end>{end}</end>
    </date_range>
  </report_metadata>
  <policy_published>
    <domain>{domain}</domain>
    <adkim>r</adkim>
    <aspf>r</aspf>
    <p>none</p>
    <sp>none</sp>
    <pct>100</pct>
    <fo>0</fo>
  </policy_published>
  <record>
    <row>
      <source_ip>203.0.113.66</source_ip>
      <count>57</count>
      <policy_evaluated>
        <disposition>none</disposition>
        <dkim>fail</dkim>
        <spf>fail</spf>
      </policy_evaluated>
    </row>
    <identifiers>
      <envelope_to>contoso.test</envelope_to>
      <envelope_from>bulk.test</envelope_from>
      <header_from>{domain}</header_from>
    </identifiers>
    <auth_results>
      <spf>
        <domain>bulk.test</domain>
        <scope>mfrom</scope>
        <result>softfail</result>
      </spf>
    </auth_results>
  </record>
</feedback>
"""
RFC_9990 = """\
<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>Modern</org_name><email>dmarc@modern.test</email>
    <report_id>{id}</report_id>
    <date_range><begin>{begin}</begin><end>{end}</end></date_range>
    <generator>Modern 2</generator>
  </report_metadata>
  <policy_published>
    <domain>{domain}</domain><discovery_method>treewalk</discovery_method><p>none</p>
    <adkim>r</adkim><aspf>r</aspf><testing>n</testing>
  </policy_published>
  <record>
    <row>
      <source_ip>2001:db8::10</source_ip><count>6</count>
      <policy_evaluated><disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated>
    </row>
    <identifiers><header_from>{domain}</header_from><envelope_from>{domain}</envelope_from></identifiers>
    <auth_results><dkim><domain>{domain}</domain><selector>s</selector><result>pass</result></dkim></auth_results>
  </record>
</feedback>
"""


def xml(
    text: str, id_: str = "4711", domain: str = "a.test", dates: tuple[int, int] = (BEGIN, END)
) -> bytes:
    return text.format(id=id_, domain=domain, begin=dates[0], end=dates[1]).encode()


def tls_json(day: str = "2027-01-14", domain: str = "a.test") -> bytes:
    """As Google writes it."""
    return json.dumps(
        {
            "organization-name": "Google Inc.",
            "date-range": {
                "start-datetime": f"{day}T00:00:00Z",
                "end-datetime": f"{day}T23:59:59Z",
            },
            "contact-info": "smtp-tls-reporting@google.com",
            "report-id": f"{day}T00:00:00Z_{domain}",
            "policies": [
                {
                    "policy": {
                        "policy-type": "sts",
                        "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.a.test"],
                        "policy-domain": domain,
                        "mx-host": ["mx.a.test"],
                    },
                    "summary": {
                        "total-successful-session-count": 88,
                        "total-failure-session-count": 3,
                    },
                    "failure-details": [
                        {
                            "result-type": "certificate-expired",
                            "sending-mta-ip": "209.85.0.1",
                            "receiving-ip": OURS,
                            "receiving-mx-hostname": "mx.a.test",
                            "failed-session-count": 3,
                        }
                    ],
                }
            ],
        }
    ).encode()


def zipped(name: str, octets: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return file.getvalue()


def lines(octets: bytes) -> bytes:
    """Base64 as it travels."""
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def google(id_: str = "4711", domain: str = "a.test", document: bytes = b"") -> bytes:
    """The whole message is the attachment."""
    name = f"google.com!{domain}!{BEGIN}!{END}"
    head = (
        f"From: noreply-dmarc-support@google.com\r\nTo: mail-reports@{domain}\r\n"
        f"Subject: Report domain: {domain} Submitter: google.com Report-ID: {id_}\r\n"
        "Message-ID: <4711@google.com>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: application/zip; \r\n\tname="{name}.zip"\r\n'
        f'Content-Disposition: attachment; \r\n\tfilename="{name}.zip"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    document = document or xml(GOOGLE, id_, domain)
    return head.encode() + lines(zipped(f"{name}.xml", document))


def microsoft(
    id_: str = "a1b2", domain: str = "a.test", dates: tuple[int, int] = (BEGIN, END)
) -> bytes:
    """A page of HTML beside it, boundaries with blanks and quotes."""
    name = f"enterprise.protection.outlook.com!{domain}!{BEGIN}!{END}.xml.gz"
    return (
        (
            'From: "DMARC Aggregate Report" <dmarcreport@microsoft.com>\r\n'
            f"Subject: Report Domain: {domain} Submitter: enterprise.protection.outlook.com"
            f" Report-ID: {id_}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n"
            " boundary=\"_mpm_ 9f 'x' =\"\r\n\r\nThis is a multi-part message in MIME format.\r\n"
            "--_mpm_ 9f 'x' =\r\nContent-Type: multipart/related; boundary=_rel\r\n\r\n"
            "--_rel\r\nContent-Type: text/html; charset=us-ascii\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nPGRpdj5oaTwvZGl2Pg==\r\n--_rel--\r\n"
            f"--_mpm_ 9f 'x' =\r\nContent-Type: application/gzip\r\n"
            "Content-Transfer-Encoding: base64\r\nContent-ID: <1>\r\n"
            f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
        ).encode()
        + lines(gzip.compress(xml(MICROSOFT, id_, domain, dates)))
        + b"--_mpm_ 9f 'x' =--\r\n"
    )


def modern(id_: str = "m1", domain: str = "a.test") -> bytes:
    """Plain XML as quoted-printable, under a type that says nothing."""
    text = xml(RFC_9990, id_, domain).replace(b"=", b"=3D").replace(b"\n", b"\r\n")
    return (
        b"From: Modern <dmarc@modern.test>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nA report.\r\n--b\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        b"Content-Disposition: attachment; filename*=UTF-8''modern.test%21a.test%21r.xml\r\n\r\n"
        + text
        + b"\r\n--b--\r\n"
    )


def google_tls(day: str = "2027-01-14", domain: str = "a.test") -> bytes:
    """RFC 8460 §5.3."""
    return (
        b"From: smtp-tls-reporting@google.com\r\nMIME-Version: 1.0\r\n"
        b"TLS-Report-Domain: a.test\r\nTLS-Report-Submitter: google.com\r\n"
        b'Content-Type: multipart/report; boundary="t"; report-type=tlsrpt\r\n\r\n'
        b"--t\r\nContent-Type: text/plain\r\n\r\nThis is an aggregate TLS report.\r\n"
        b'--t\r\nContent-Type: application/tlsrpt+gzip; name="google.com!a.test!1!2!1.json.gz"\r\n'
        b"Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + lines(gzip.compress(tls_json(day, domain)))
        + b"--t--\r\n"
    )


def complaint() -> bytes:
    """RFC 5965, as a feedback loop sends it."""
    return (
        b"From: <complaints@fbl.test>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="c"\r\n\r\n'
        b"--c\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n"
        b"--c\r\nContent-Type: message/feedback-report\r\n\r\n"
        b"Feedback-Type: abuse\r\nUser-Agent: FBL/1.0\r\nVersion: 1\r\n"
        b"Original-Mail-From: <ann@a.test>\r\nSource-IP: 192.0.2.10\r\n"
        b"Reported-Domain: a.test\r\n\r\n"
        b"--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: Offer\r\n\r\nBuy\r\n--c--\r\n"
    )
