"""Whether mail is what it says it is: SPF, DKIM, ARC, DMARC, and the header field that tells of it.

Each part can be used alone, without I/O: what it has to know from the DNS it asks as a generator
(`questions`), so that any resolver can answer.
"""
