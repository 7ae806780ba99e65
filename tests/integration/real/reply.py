"""Answers the mail in a file as a mail client does, by Python's own means: reply.py FILE HOST PORT TEXT"""

import email
import email.policy
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

path, host, port, text = sys.argv[1:]
with open(path, "rb") as file:
    asked = email.message_from_binary_file(file, policy=email.policy.default)

answer = EmailMessage()
answer["From"] = asked["To"]
answer["To"] = asked["Reply-To"] or asked["From"]
answer["Subject"] = "Re: " + asked["Subject"]
answer["Date"] = formatdate(localtime=True)
answer["Message-ID"] = make_msgid(domain="client.example")
answer["In-Reply-To"] = asked["Message-ID"]
answer["References"] = " ".join(filter(None, [asked["References"], asked["Message-ID"]]))
body = asked.get_body(("plain",)).get_content()
quoted = "".join("> " + line for line in body.splitlines(keepends=True))
answer.set_content(f"{text}\n\nLe {asked['Date']}, {asked['From']} a écrit :\n{quoted}")

with smtplib.SMTP(host, int(port)) as server:
    server.send_message(answer)
