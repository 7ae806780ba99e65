"""What Python's email package finds in each mail of a folder: one line of JSON a mail, in the order of their names.

Of each part that holds no others: its type, its name, the SHA-256 of its decoded bytes, and its text if it is text.
"""
import email
import email.policy
import hashlib
import json
import pathlib
import sys


def leaves(part):
    if part.is_multipart():
        for inner in part.get_payload():
            yield from leaves(inner)
    else:
        yield part


def text_of(part, data):
    if part.get_content_maintype() != "text":
        return None
    try:
        return data.decode(part.get_content_charset("us-ascii"), "replace")
    except LookupError:
        return data.decode("latin-1")


for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    # The policy that keeps what it cannot read, as programs that show mail use it.
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
    found = []
    for part in leaves(mail):
        data = part.get_payload(decode=True) or b""
        try:
            name = part.get_filename()
        except Exception as error:  # a name that it cannot decode says nothing against the part
            name = repr(error)
        found.append({
            "type": part.get_content_type(),
            "name": name if name is None else str(name),
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "text": text_of(part, data),
        })
    print(json.dumps({"mail": path.name, "parts": found}))
