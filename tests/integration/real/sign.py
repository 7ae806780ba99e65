"""Signs a mail by dkimpy as a sender's mail server does: sign.py DOMAIN SELECTOR KEY < MAIL

The signed mail is printed, with lines that end as they do in mails.
"""

import pathlib
import sys

import dkim

domain, selector, key = sys.argv[1:]
message = sys.stdin.buffer.read()
signature = dkim.sign(message, selector.encode(), domain.encode(), pathlib.Path(key).read_bytes(),
                      canonicalize=(b"relaxed", b"relaxed"))
sys.stdout.buffer.write(signature + message)
