//! Delivery reports in the shapes of the common mail systems, written after what their documentation says of them.

use accord::mail::delivery_report::Fate;

use crate::support::desk::{Letter, Sent};

pub const BAD: Fate = Fate::Failed { address_is_bad: true };
pub const LOST: Fate = Fate::Failed { address_is_bad: false };

/// What comes back of the mail.
#[derive(Clone, Copy)]
enum Copy {
    Whole,
    Header,
    Nothing,
}

/// A report with the three parts of RFC 3462, from `from` to where bounces of `sent` go.
fn multipart(sent: &Sent, from: &str, subject: &str, words: &str, status: &str, copy: Copy) -> Letter {
    let human = format!("Content-Type: text/plain; charset=utf-8\n\n{words}\n");
    let machine = format!("Content-Type: message/delivery-status\n\n{status}\n");
    in_parts(sent, from, subject, &[human, machine], copy)
}

fn in_parts(sent: &Sent, from: &str, subject: &str, parts: &[String], copy: Copy) -> Letter {
    let header = header_of(sent);
    let returned = match copy {
        Copy::Whole => Some(format!("Content-Type: message/rfc822\n\n{header}\nBonjour.\n")),
        Copy::Header => Some(format!("Content-Type: text/rfc822-headers\n\n{header}\n")),
        Copy::Nothing => None,
    };
    let mut body = String::from("This is a MIME-encapsulated message.\n\n");
    for part in parts.iter().chain(returned.as_ref()) {
        body.push_str(&format!("--=_b/1\n{part}\n"));
    }
    body.push_str("--=_b/1--\n");
    told(sent, from, subject, &body)
        .header("Content-Type", "multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_b/1\"")
}

/// A report in plain words.
fn told(sent: &Sent, from: &str, subject: &str, body: &str) -> Letter {
    Letter::from(from)
        .to(&sent.envelope_from)
        .envelope("<>")
        .subject(subject)
        .header("Return-Path", "<>")
        .text(&body.replace('\n', "\r\n"))
}

fn header_of(sent: &Sent) -> String {
    format!(
        "Return-Path: <{}>\nReceived: from desk (desk [192.0.2.5]) by mx.relay.example; Mon, 23 Nov 2026 08:00:01 +0000\n\
         From: support@garonne.example\nTo: {}\nSubject: Re: question\nMessage-ID: {}\nMIME-Version: 1.0\n",
        sent.envelope_from,
        sent.recipient,
        id_of(sent),
    )
}

fn id_of(sent: &Sent) -> &str {
    sent.mail.message_id.as_deref().expect("our mails have ids")
}

/// Postfix, for one recipient with that status and reply.
pub fn postfix(sent: &Sent, action: &str, status: &str, reply: &str) -> Letter {
    let to = &sent.recipient;
    multipart(
        sent,
        "MAILER-DAEMON@mx.relay.example (Mail Delivery System)",
        if action == "delayed" { "Delayed Mail (still being retried)" } else { "Undelivered Mail Returned to Sender" },
        &format!(
            "This is the mail system at host mx.relay.example.\n\nI'm sorry to have to inform you that your message could\n\
             not be delivered to one or more recipients.\n\n<{to}>: host mx.acme.example[192.0.2.9] said: {reply}\n"
        ),
        &format!(
            "Reporting-MTA: dns; mx.relay.example\nX-Postfix-Queue-ID: 4Gz1\nX-Postfix-Sender: rfc822; {}\n\n\
             Final-Recipient: rfc822; {to}\nOriginal-Recipient: rfc822;{to}\nAction: {action}\nStatus: {status}\n\
             Remote-MTA: dns; mx.acme.example\nDiagnostic-Code: smtp; {reply}",
            sent.envelope_from
        ),
        Copy::Whole,
    )
    .header("Auto-Submitted", "auto-replied")
}

/// A mail system and its case, what it says of the mail's one recipient, and how it writes that.
pub type Shape = (&'static str, Fate, fn(&Sent) -> Letter);

/// Every shape, by the name of its system, with what it says of the mail's one recipient.
pub fn all() -> Vec<Shape> {
    vec![
        ("postfix, user unknown", BAD, |sent| postfix(sent, "failed", "5.1.1", "550 5.1.1 User unknown")),
        ("postfix, no such domain", BAD, |sent| {
            postfix(sent, "failed", "5.4.4", "Host or domain name not found. Name service error for name=acme.example")
        }),
        ("postfix, mailbox full", LOST, |sent| postfix(sent, "failed", "5.2.2", "552 5.2.2 Over quota")),
        ("postfix, refused by policy", LOST, |sent| {
            postfix(sent, "failed", "5.7.1", "550 5.7.1 Message rejected as spam by policy")
        }),
        ("postfix, given up after five days", LOST, |sent| {
            postfix(sent, "failed", "4.4.1", "connect to mx.acme.example[192.0.2.9]:25: Connection timed out")
        }),
        ("postfix, delayed", Fate::Delayed, |sent| postfix(sent, "delayed", "4.4.1", "451 4.3.0 Try again later")),
        ("postfix, relayed", Fate::Delivered, |sent| postfix(sent, "relayed", "2.0.0", "250 2.0.0 Ok")),
        ("postfix, header only", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "MAILER-DAEMON@mx.relay.example",
                "Undelivered Mail Returned to Sender",
                &format!("<{to}>: unknown user: \"{to}\""),
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\n\nFinal-Recipient: rfc822; {to}\nAction: failed\n\
                     Status: 5.1.1\nDiagnostic-Code: X-Postfix; unknown user"
                ),
                Copy::Header,
            )
        }),
        ("exim, with parts", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery System <Mailer-Daemon@mx.relay.example>",
                "Mail delivery failed: returning message to sender",
                &format!(
                    "This message was created automatically by mail delivery software.\n\n  {to}\n    host mx.acme.example\n\
                     \x20   SMTP error from remote mail server after RCPT TO:<{to}>:\n    550 5.1.1 No such user"
                ),
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\n\nAction: failed\nFinal-Recipient: rfc822;{to}\nStatus: 5.0.0\n\
                     Remote-MTA: dns; mx.acme.example\nDiagnostic-Code: smtp; 550 5.1.1 No such user"
                ),
                Copy::Whole,
            )
            .header("X-Failed-Recipients", to)
        }),
        ("exim, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "Mail Delivery System <Mailer-Daemon@mx.relay.example>",
                "Mail delivery failed: returning message to sender",
                &format!(
                    "This message was created automatically by mail delivery software.\n\nA message that you sent could not be \
                     delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n\
                     \x20 {to}\n    Unrouteable address\n\n------ This is a copy of the message, including all the headers. ------\n\n\
                     {header}\nBonjour.\n"
                ),
            )
            .header("X-Failed-Recipients", to)
        }),
        ("exim, delayed", Fate::Delayed, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "Mail Delivery System <Mailer-Daemon@mx.relay.example>",
                "Warning: message 1kX delayed 24 hours",
                &format!(
                    "A message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours.\n\
                     The address to which the message has not yet been delivered is:\n\n  {to}\n    Delay reason: 451 greylisted\n\n\
                     No action is required on your part. Delivery attempts will continue for\nsome time.\n\n{header}"
                ),
            )
        }),
        ("sendmail", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery Subsystem <MAILER-DAEMON@mx.relay.example>",
                "Returned mail: see transcript for details",
                &format!(
                    "The original message was received at Mon, 23 Nov 2026 08:00:00 GMT\n\n   ----- The following addresses had \
                     permanent fatal errors -----\n<{to}>\n    (reason: 550 5.1.1 <{to}>... User unknown)"
                ),
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\nReceived-From-MTA: DNS; desk\nArrival-Date: Mon, 23 Nov 2026 08:00:00 GMT\n\n\
                     Final-Recipient: RFC822; {to}\nX-Actual-Recipient: RFC822; {to}\nAction: failed\nStatus: 5.1.1\n\
                     Remote-MTA: DNS; mx.acme.example\nDiagnostic-Code: SMTP; 550 5.1.1 <{to}>... User unknown\n\
                     Last-Attempt-Date: Mon, 23 Nov 2026 08:00:02 GMT"
                ),
                Copy::Whole,
            )
            .header("Auto-Submitted", "auto-generated (failure)")
        }),
        ("sendmail, through an alias", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery Subsystem <MAILER-DAEMON@mx.relay.example>",
                "Returned mail: see transcript for details",
                "User unknown",
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\n\nOriginal-Recipient: rfc822;{to}\n\
                     Final-Recipient: RFC822; someone@else.example\nAction: failed\nStatus: 5.1.1"
                ),
                Copy::Header,
            )
        }),
        ("sendmail of old, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MAILER-DAEMON@mx.relay.example",
                "Returned mail: User unknown",
                &format!(
                    "   ----- The following addresses had permanent fatal errors -----\n<{to}>\n\n   ----- Transcript of session follows \
                     -----\n... while talking to mx.acme.example.:\n>>> RCPT To:<{to}>\n<<< 550 <{to}>... User unknown\n550 <{to}>... \
                     User unknown\n\n   ----- Original message follows -----\n\n{header}\nBonjour.\n"
                ),
            )
        }),
        ("sendmail, warning", Fate::Delayed, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery Subsystem <MAILER-DAEMON@mx.relay.example>",
                "Warning: could not send message for past 4 hours",
                "** THIS IS A WARNING MESSAGE ONLY **\n** YOU DO NOT NEED TO RESEND YOUR MESSAGE **",
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\n\nFinal-Recipient: RFC822; {to}\nAction: delayed\nStatus: 4.4.2\n\
                     Will-Retry-Until: Sat, 28 Nov 2026 08:00:00 GMT"
                ),
                Copy::Header,
            )
        }),
        ("qmail", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MAILER-DAEMON@mx.relay.example",
                "failure notice",
                &format!(
                    "Hi. This is the qmail-send program at mx.relay.example.\nI'm afraid I wasn't able to deliver your message to the \
                     following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<{to}>:\n192.0.2.9 does \
                     not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.9.\n\n--- Below this line is a \
                     copy of the message.\n\n{header}\nBonjour.\n"
                ),
            )
        }),
        ("qmail with vpopmail", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MAILER-DAEMON@mx.relay.example",
                "failure notice",
                &format!(
                    "Hi. This is the qmail-send program at mx.relay.example.\n\n<{to}>:\nSorry, no mailbox here by that name. vpopmail \
                     (#5.1.1)\n\n--- Below this line is a copy of the message.\n\n{header}\n"
                ),
            )
        }),
        ("qmail, too long in the queue", LOST, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MAILER-DAEMON@mx.relay.example",
                "failure notice",
                &format!(
                    "Hi. This is the qmail-send program at mx.relay.example.\n\n<{to}>:\nSorry, I wasn't able to establish an SMTP \
                     connection. (#4.4.1)\nI'm not going to try again; this message has been in the queue too long.\n\n--- Below this \
                     line is a copy of the message.\n\n{header}\n"
                ),
            )
        }),
        ("exchange server", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example>",
                "Undeliverable: Re: question",
                &format!(
                    "Delivery has failed to these recipients or groups:\n\n{to}\nThe email address you entered couldn't be found."
                ),
                &format!(
                    "Reporting-MTA: dns;mx01.acme.example\n\nFinal-recipient: RFC822;{to}\nAction: failed\nStatus: 5.1.1\n\
                     Diagnostic-code: smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found\nX-Display-Name: {to}"
                ),
                Copy::Header,
            )
        }),
        ("microsoft 365, not found", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@acme.example",
                "Undeliverable: Re: question",
                &format!("Your message to {to} couldn't be delivered.\n\nclaire wasn't found at acme.example."),
                &format!(
                    "Reporting-MTA: dns;AM0PR01.acme.example\nReceived-From-MTA: dns;desk\nArrival-Date: Mon, 23 Nov 2026 08:00:00 +0000\n\n\
                     Final-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.1.10\n\
                     Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
                ),
                Copy::Whole,
            )
            .header("In-Reply-To", id_of(sent))
        }),
        ("microsoft 365 at its edge", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@relay.example",
                "Undeliverable: Re: question",
                "Recipient address rejected",
                &format!(
                    "Reporting-MTA: dns;relay.example\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.4.1\n\
                     Diagnostic-Code: smtp;550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"
                ),
                Copy::Whole,
            )
        }),
        ("microsoft 365, blocked", LOST, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@acme.example",
                "Undeliverable: Re: question",
                "Your message was rejected by the organisation's policy.",
                &format!(
                    "Reporting-MTA: dns;AM0PR01.acme.example\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.7.133\n\
                     Diagnostic-Code: smtp;550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup"
                ),
                Copy::Whole,
            )
        }),
        ("exchange, without the mail", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@acme.example",
                "Non remis : Re: question",
                "Échec de la remise",
                &format!("Reporting-MTA: dns;mx01\n\nFinal-Recipient: RFC822;{to}\nAction: failed\nStatus: 5.1.1"),
                Copy::Nothing,
            )
        }),
        ("google", BAD, |sent| {
            let to = &sent.recipient;
            let words = "Content-Type: multipart/related; boundary=\"r2\"\n\n--r2\nContent-Type: multipart/alternative; boundary=\"a3\"\n\n\
                         --a3\nContent-Type: text/plain; charset=\"UTF-8\"\n\n** Address not found **\n\n--a3\nContent-Type: text/html\n\n\
                         <p>Address not found</p>\n--a3--\n--r2--\n";
            let status = format!(
                "Content-Type: message/delivery-status\n\nReporting-MTA: dns; googlemail.com\n\
                 Received-From-MTA: dns; desk\nArrival-Date: Mon, 23 Nov 2026 00:00:00 -0800 (PST)\nX-Original-Message-ID: {}\n\n\
                 Final-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.acme.example. (192.0.2.9, the server \
                 for the domain acme.example.)\nDiagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.\n \
                 550 5.1.1 Please try double-checking the address\nLast-Attempt-Date: Mon, 23 Nov 2026 00:00:01 -0800 (PST)\n",
                id_of(sent)
            );
            in_parts(
                sent,
                "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
                "Delivery Status Notification (Failure)",
                &[words.to_owned(), status],
                Copy::Whole,
            )
            .header("X-Failed-Recipients", to)
            .header("Auto-Submitted", "auto-replied")
            .header("References", id_of(sent))
        }),
        ("google, delayed", Fate::Delayed, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
                "Delivery Status Notification (Delay)",
                "** Delivery incomplete **\nGmail will retry for 46 more hours.",
                &format!(
                    "Reporting-MTA: dns; googlemail.com\n\nFinal-Recipient: rfc822; {to}\nAction: delayed\nStatus: 4.4.1\n\
                     Will-Retry-Until: Wed, 25 Nov 2026 00:00:00 -0800 (PST)"
                ),
                Copy::Whole,
            )
        }),
        ("google of old, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
                "Delivery Status Notification (Failure)",
                &format!(
                    "Delivery to the following recipient failed permanently:\n\n     {to}\n\nTechnical details of permanent failure:\n\
                     Google tried to deliver your message, but it was rejected by the server.\nThe error that the other server returned \
                     was:\n550 550 5.1.1 <{to}>: user unknown\n\n----- Original message -----\n\n{header}\n"
                ),
            )
            .header("X-Failed-Recipients", to)
        }),
        ("domino", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@acme.example",
                &format!("DELIVERY FAILURE: User claire ({to}) not listed in Domino Directory"),
                &format!(
                    "Your message\n\n  Subject: Re: question\n\nwas not delivered to:\n\n  {to}\n\nbecause:\n\n  not listed"
                ),
                &format!(
                    "Reporting-MTA: dns;notes.acme.example\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.1.1\n\
                     Diagnostic-Code: X-Notes; User claire ({to}) not listed in Domino Directory"
                ),
                Copy::Header,
            )
        }),
        ("groupwise, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "Mailer-Daemon@gw.acme.example",
                "Message status - undeliverable",
                &format!(
                    "The message that you sent was undeliverable to the following:\n\t{to} (550 User Unknown)\n\n{header}"
                ),
            )
        }),
        ("courier", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "\"Courier mail server at mx.acme.example\" <postmaster@mx.acme.example>",
                "NOTICE: mail delivery status.",
                &format!(
                    "UNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<{to}>:\n <<< 550 User unknown."
                ),
                &format!(
                    "Reporting-MTA: dns; mx.acme.example\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.0.0\n\
                     Diagnostic-Code: unknown; 550 User unknown."
                ),
                Copy::Header,
            )
        }),
        ("mdaemon, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MDaemon@mx.acme.example",
                "Permanent Delivery Failure",
                &format!(
                    "The attached message had PERMANENT fatal delivery errors!\n\nFailed address: {to}\n\n--- Session Transcript ---\n \
                     --> RCPT To:<{to}>\n <-- 550 {to}, Recipient unknown\n--- End Transcript ---\n\n{header}"
                ),
            )
        }),
        ("yahoo, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "MAILER-DAEMON@yahoo.example",
                "Failure Notice",
                &format!(
                    "Sorry, we were unable to deliver your message to the following address.\n\n<{to}>:\n554: delivery error: dd This user \
                     doesn't have a yahoo.example account ({to}) [0] - mta4.yahoo.example\n\n--- Below this line is a copy of the \
                     message.\n\n{header}"
                ),
            )
        }),
        ("opensmtpd", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mailer Daemon <MAILER-DAEMON@mx.relay.example>",
                "Delivery status notification: error",
                &format!(
                    "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n{to}: 550 5.1.1 unknown"
                ),
                &format!(
                    "Reporting-MTA: dns; mx.relay.example\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.1.1"
                ),
                Copy::Header,
            )
        }),
        ("cisco", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "Mail Delivery System <MAILER-DAEMON@iron.relay.example>",
                "Delivery Status Notification (Failure)",
                &format!(
                    "The following message to <{to}> was undeliverable.\nThe reason for the problem:\n5.1.0 - Unknown address error"
                ),
                &format!(
                    "Reporting-MTA: dns; iron.relay.example\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.0.0 (permanent \
                     failure)\nDiagnostic-Code: smtp; 5.1.0 - Unknown address error 550-'No such user here' (delivery attempts: 0)"
                ),
                Copy::Whole,
            )
        }),
        ("powermta", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "postmaster@out.relay.example",
                "Delivery report",
                &format!("Hello, this is the mail server on out.relay.example.\n\n  <{to}> 550 5.1.1 unknown"),
                &format!(
                    "Reporting-MTA: dns;out.relay.example\n\nOriginal-Recipient: rfc822;{to}\nFinal-Recipient: rfc822;{to}\nAction: failed\n\
                     Status: 5.1.1 (bad destination mailbox address)\nRemote-MTA: dns;mx.acme.example (192.0.2.9)\n\
                     Diagnostic-Code: smtp;550 5.1.1 unknown\nX-PowerMTA-BounceCategory: bad-mailbox"
                ),
                Copy::Whole,
            )
        }),
        ("amazon", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "MAILER-DAEMON@eu.amazonses.example",
                "Delivery Status Notification (Failure)",
                &format!("An error occurred while trying to deliver the mail to the following recipients:\n{to}"),
                &format!(
                    "Reporting-MTA: dns; a4-1.smtp-out.amazonses.example\n\nAction: failed\nFinal-Recipient: rfc822; {to}\n\
                     Diagnostic-Code: smtp; 550 5.1.1 user unknown\nStatus: 5.1.1"
                ),
                Copy::Whole,
            )
        }),
        ("communigate", BAD, |sent| {
            let to = &sent.recipient;
            multipart(
                sent,
                "<MAILER-DAEMON@cgp.relay.example>",
                "Undeliverable mail: Re: question",
                &format!("Failed to deliver to '{to}'\nSMTP module(domain acme.example) reports:\n 550 unknown user"),
                &format!(
                    "Reporting-MTA: dns; cgp.relay.example\n\nOriginal-Recipient: rfc822;<{to}>\nFinal-Recipient: system;<{to}>\n\
                     Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown user account"
                ),
                Copy::Whole,
            )
        }),
        ("hmailserver, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "mailer-daemon@win.relay.example",
                "Message undeliverable: Re: question",
                &format!(
                    "Your message did not reach some or all of the intended recipients.\n\n   Sent: Mon, 23 Nov 2026\n   Subject: Re: \
                     question\n\nThe following recipient(s) could not be reached:\n\n{to}\n   Error Type: SMTP\n   Remote server (192.0.2.9) \
                     issued an error.\n   hMailServer sent: RCPT TO:<{to}>\n   Remote server replied: 550 5.1.1 Unknown user\n\n{header}"
                ),
            )
        }),
        ("xmail, in words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "postmaster@x.relay.example",
                "Error sending message [1] from [x.relay.example]",
                &format!("[<00>] XMail bounce: Rcpt=[{to}];Error=[550 No such user]\n\n[<01>] Error sending message\n\n{header}"),
            )
            .header("X-Failed-Recipients", to)
        }),
        ("james, in a base64 part", BAD, |sent| {
            let to = &sent.recipient;
            let status = format!(
                "Reporting-MTA: dns; james\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
            );
            let machine = format!(
                "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{}\n",
                data_encoding::BASE64.encode(status.as_bytes())
            );
            let human = "Content-Type: text/plain\n\nHi. This is the James mail server at james.\n".to_owned();
            in_parts(sent, "postmaster@james.relay.example", "Undelivered", &[human, machine], Copy::Whole)
        }),
        ("internationalized", BAD, |sent| {
            let to = &sent.recipient;
            let machine = format!(
                "Content-Type: message/global-delivery-status; charset=utf-8\n\nReporting-MTA: dns; mx.relay.example\n\n\
                 Final-Recipient: utf-8; {to}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 utilisateur inconnu à \
                 cette adresse\n"
            );
            let human = "Content-Type: text/plain; charset=utf-8\n\nÉchec\n".to_owned();
            in_parts(sent, "MAILER-DAEMON@mx.relay.example", "Échec de la remise", &[human, machine], Copy::Header)
        }),
        ("in french words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "postmaster@mx.acme.example",
                "Courrier non remis",
                &format!("Votre message n’a pas été remis à {to} : utilisateur inconnu (550).\n\n{header}"),
            )
        }),
        ("in german words", BAD, |sent| {
            let (to, header) = (&sent.recipient, header_of(sent));
            told(
                sent,
                "postmaster@mx.acme.example",
                "Unzustellbar: Re: question",
                &format!("Die Nachricht an {to} wurde nicht zugestellt: Empfänger unbekannt.\n\n{header}"),
            )
        }),
    ]
}
