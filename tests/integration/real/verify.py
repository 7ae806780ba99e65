"""Checks each DKIM signature of the mails in a folder by dkimpy: verify.py FOLDER < RECORDS

RECORDS: lines of a zone file. For every mail it prints its name, and for each of its signatures True or False.
"""

import pathlib
import re
import sys

import dkim

records = {}
for line in sys.stdin:
    name, text = line.strip().split(" IN TXT ", 1)
    records[name.encode()] = "".join(re.findall(r'"([^"]*)"', text)).encode()


def published(name, timeout=5):
    return records.get(name)


for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    message = path.read_bytes()
    signatures = sum(1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b"dkim-signature")
    verdicts = [dkim.DKIM(message).verify(index, dnsfunc=published) for index in range(signatures)]
    print(path.name, *verdicts)
