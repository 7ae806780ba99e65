//! Each target takes any bytes and asserts what holds of every input. That nothing panics, takes longer than five seconds or
//! more memory than a mail may, is seen by what runs it. The suite calls them, too, once with each seed (`mail::fuzzed`), so
//! they name what they test by where they stand.

use super::html;
use super::lmtp_data::DataReader;
use super::mail::address::{self, EmailAddress, split_list};
use super::mail::authentication::{self, Authentication};
use super::mail::automatic::{self, Class, Traits};
use super::mail::incoming::{Level, ParsedMail, parse};
use super::mail::limits::{PART_TEXT_BYTES, TEXT_BYTES_MIN, TEXT_PER_RAW_BYTE};
use super::mail::mac::MacKeys;
use super::mail::message_id::{self, MessageIdFor};
use super::mail::reply_address::{self, AddressPurpose, TokenFor};
use super::mail::threading::{
    Decision, Evidence, MessageEvidence, Outcome, Sender, SubjectEvidence, TicketState, TokenEvidence, decide,
};
use super::mail::{complaint, delivery_report, reply_text, unsubscribe_token};
use super::secret::Secret;

/// What is done with an input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its dictionary, if it has one.
pub const ALL: [(&str, Target); 9] = [
    ("mail", mail),
    ("report", report),
    ("html", html),
    ("reply_text", reply_text),
    ("address", address),
    ("results", results),
    ("tokens", tokens),
    ("decision", decision),
    ("lmtp", lmtp),
];

const REPLY_DOMAIN: &str = "reply.desk.example";
const OUR_MAILBOX: &str = "support@desk.example";

fn keys() -> MacKeys {
    MacKeys::new((1, Secret::new([7; 32])), Some((0, Secret::new([5; 32]))))
}

/// From the bytes of a mail to what is decided about it.
fn mail(bytes: &[u8]) {
    let mail = parse(bytes);
    assert_fit_to_store(&mail, bytes.len());
    let addressees = mail.to.iter().chain(&mail.cc).filter_map(|to| to.identity.as_ref());
    let sender = mail.from.identity.as_ref();
    let traits = Traits {
        headers: &mail.headers,
        subject: &mail.subject,
        return_path: mail.return_path.as_deref(),
        sender_local_part: sender.map(EmailAddress::local_part),
        is_from_our_mailbox: sender.is_some_and(|sender| sender.canonical() == OUR_MAILBOX),
        is_addressed_to_us: addressees.clone().any(|to| to.canonical() == OUR_MAILBOX),
        came_to_bounce_address: addressees.clone().any(|to| to.local_part().starts_with("b+")),
        came_to_reply_address: true,
        is_calendar_answer: false,
        has_our_loop_mark: false,
    };
    let class = automatic::classify(&traits);
    if automatic::is_delivery_report(&traits) || automatic::is_complaint(&traits) || automatic::is_looping(&traits) {
        assert_eq!(class, Class::MachineMade);
    }
    let token = addressees
        .filter(|to| to.domain() == REPLY_DOMAIN && reply_address::resembles(to.local_part()))
        .map(|to| reply_address::parse(to.local_part()).is_some_and(|token| token.is_genuine(&keys(), 1, OUR_MAILBOX)))
        .max();
    let told = sender.and_then(|from| authentication::read(&mail.headers, Some("mx.desk.example"), from.domain()));
    let evidence = Evidence {
        token: match token {
            None => TokenEvidence::Absent,
            Some(false) => TokenEvidence::NotGenuine,
            Some(true) => TokenEvidence::OfCustomer,
        },
        message: message_evidence(&mail),
        subject: SubjectEvidence::Absent,
        disagrees: false,
        sender: if sender.is_some() { Sender::Unknown } else { Sender::None },
        authentication: told.unwrap_or(Authentication::None),
        ticket: TicketState::Current,
        automatic: class == Class::MachineMade,
        usually_passes: false,
    };
    assert_sound(&evidence, &decide(&evidence));
    if let Some(html) = &mail.html
        && let Some(safe) = html::sanitize_mail(html, &|id| Some(format!("/files/{}", id.len())))
    {
        assert!(!safe.html.contains('\0'));
    }
    let (split, text) = (reply_text::split(&mail.text), mail.text.as_str());
    assert_eq!((split.written.len() + split.quoted.len(), split.written.is_empty()), (text.len(), text.is_empty()));
}

/// What goes on from here to the database and to pages (M-03, I-03, L-12).
fn assert_fit_to_store(mail: &ParsedMail, raw_bytes: usize) {
    let one_line = |text: &str| !text.contains(['\0', '\n', '\r']);
    assert!(!mail.text.contains(['\0', '\r']), "the text");
    assert!(mail.html.as_deref().is_none_or(|html| !html.contains('\0')), "the HTML");
    assert!(one_line(&mail.subject) && one_line(&mail.from.display_name) && one_line(&mail.from.shown_address));
    for somebody in mail.to.iter().chain(&mail.cc).chain(&mail.reply_to) {
        assert!(one_line(&somebody.display_name) && one_line(&somebody.shown_address));
    }
    for id in mail.message_id.iter().chain(&mail.in_reply_to).chain(&mail.references) {
        assert!(id.starts_with('<') && id.ends_with('>') && !id.contains(char::is_whitespace), "{id:?}");
    }
    assert!(mail.headers.iter().all(|(name, _)| !name.starts_with("x-accord-")), "S-01");
    if mail.from.identity.is_some() {
        assert_eq!(mail.headers.iter().filter(|(name, _)| name.trim_end() == "from").count(), 1, "I-03");
    }
    if mail.level == Level::Stub {
        assert!(mail.attachments.is_empty() && mail.from.identity.is_none());
    }
    // Plain text and what HTML says each have a bound of their own; what is written out in full is longer by a little.
    let bound = 4 * TEXT_BYTES_MIN.max(TEXT_PER_RAW_BYTE * raw_bytes).min(4 * PART_TEXT_BYTES);
    if let Some(mut invitation) = mail.invitation.clone() {
        assert!(invitation.texts_mut().into_iter().all(|text| one_line(text)), "the invitation");
    }
    assert!(mail.text.len() <= bound, "{} bytes of text from {raw_bytes}", mail.text.len());
    let kept: usize = mail.attachments.iter().map(|file| file.bytes.len()).sum();
    assert!(kept <= 2 * raw_bytes + (64 << 10), "{kept} bytes of files from {raw_bytes}");
    for file in &mail.attachments {
        let name = file.file_name.as_str();
        assert!(!name.is_empty() && one_line(name) && !name.contains('/'), "{name:?}");
        assert!(!file.file_name.content_disposition().contains(['\r', '\n', '\0']));
    }
}

fn message_evidence(mail: &ParsedMail) -> MessageEvidence {
    let of = MessageIdFor { organisation: 1, ticket_handle: 2, message_handle: "abc" };
    let mut evidence = MessageEvidence::Absent;
    for id in mail.in_reply_to.iter().chain(&mail.references) {
        if let Some(id) = message_id::parse(id, REPLY_DOMAIN) {
            assert!(!id.is_genuine(&keys(), &of), "a Message-ID that nobody made");
            evidence = MessageEvidence::NotGenuine;
        }
    }
    evidence
}

/// Any evidence at all, and what never follows from it.
fn decision(bytes: &[u8]) {
    use {MessageEvidence as M, Sender as F, SubjectEvidence as S, TicketState as T, TokenEvidence as K};
    let mut numbers = bytes.iter().map(|byte| usize::from(*byte)).chain(std::iter::repeat(0));
    let mut next = |choices: usize| numbers.next().unwrap_or_default() % choices;
    let evidence = Evidence {
        token: [K::Absent, K::NotGenuine, K::OtherMailbox, K::OfCustomer, K::OfThisAgent, K::OfAgent][next(6)],
        message: [M::Absent, M::NotGenuine, M::OtherMailbox, M::Ours, M::Received][next(5)],
        subject: [S::Absent, S::OtherMailbox, S::Present][next(3)],
        disagrees: next(2) == 1,
        sender: [F::Participant, F::Agent, F::AgentWithoutAccess, F::Unknown, F::None][next(5)],
        authentication: [Authentication::Pass, Authentication::None, Authentication::Fail][next(3)],
        ticket: [T::Current, T::StaysClosed, T::Merged][next(3)],
        automatic: next(2) == 1,
        usually_passes: next(2) == 1,
    };
    assert_sound(&evidence, &decide(&evidence));
}

fn assert_sound(evidence: &Evidence, decision: &Decision) {
    let proven =
        matches!(evidence.token, TokenEvidence::OfCustomer | TokenEvidence::OfThisAgent | TokenEvidence::OfAgent)
            || matches!(evidence.message, MessageEvidence::Ours | MessageEvidence::Received)
            || evidence.subject == SubjectEvidence::Present;
    if decision.reaches_customers() {
        assert!(proven && !evidence.automatic && evidence.authentication != Authentication::Fail, "{evidence:?}");
        assert!(
            !matches!(evidence.sender, Sender::Unknown | Sender::None | Sender::AgentWithoutAccess),
            "{evidence:?}"
        );
    }
    if decision.outcome == Outcome::AppendAsAgent {
        assert_eq!(evidence.token, TokenEvidence::OfThisAgent);
        assert_eq!((evidence.sender, evidence.authentication), (Sender::Agent, Authentication::Pass));
    }
    if evidence.automatic {
        assert!(decision.automatic && !decision.may_reopen() && !decision.may_tell_the_sender(), "{evidence:?}");
    }
    if evidence.token == TokenEvidence::OtherMailbox && !evidence.automatic {
        assert!(!decision.hint && decision.outcome == Outcome::NewTicket, "{evidence:?}");
    }
}

/// Reports of mail that did not arrive, and complaints of mail that did.
fn report(bytes: &[u8]) {
    let mail = parse(bytes);
    for in_words in [false, true] {
        let report = delivery_report::read(&mail, in_words);
        for recipient in &report.recipients {
            assert!(!recipient.reason.contains(['\0', '\r', '\n']), "{:?}", recipient.reason);
            assert!(recipient.addresses.iter().all(|address| *address == address.to_lowercase()));
        }
        assert!(report.mail_ids.iter().all(|id| id.starts_with('<') && id.ends_with('>')));
    }
    if let Some(complaint) = complaint::read(&mail) {
        assert!(complaint.mail_id.is_none_or(|id| id.starts_with('<') && id.ends_with('>')));
    }
}

/// What is made safe is safe when it is made safe again, and holds nothing that runs.
fn html(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let keep = |id: &str| Some(format!("cid:{id}"));
    if let Some(once) = html::sanitize_mail(&text, &keep) {
        let lower = once.html.to_ascii_lowercase();
        for forbidden in ["<script", "<style", "<iframe", "<svg", "<form", "<input", "<object", "<base", "<meta"] {
            assert!(!lower.contains(forbidden), "{forbidden} in {:?}", once.html);
        }
        let again = html::sanitize_mail(&once.html, &keep).expect("what is safe is within the limits");
        assert_eq!(once.html, again.html);
    }
    if let Some(once) = html::sanitize_mail_with_remote_images(&text, &keep) {
        let again = html::sanitize_mail_with_remote_images(&once.html, &keep).expect("as above");
        assert_eq!(once.html, again.html);
    }
    assert!(!html::to_text(&text).contains('\r'));
    let safe = html::from_text(&text);
    assert!(!safe.contains("<script"));
    html::from_markdown(&text);
}

/// The two halves are the whole, and something is always written.
fn reply_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let split = reply_text::split(&text);
    assert_eq!(format!("{}{}", split.written, split.quoted), text);
    assert!(!split.written.trim().is_empty() || text.trim().is_empty());
    // What was written for this mail stays written: nothing is cut from it a second time but a signature.
    assert!(reply_text::split(split.written).written.len() <= split.written.len());
    for cut in [reply_text::split_signature(&text), reply_text::split_encrypted(&text)] {
        assert_eq!(format!("{}{}", cut.written, cut.quoted), text);
    }
    reply_text::has_marker(&text);
}

/// Who somebody is, by what stands where an address should.
fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (mailboxes, _) = split_list(&text, 50);
    assert!(mailboxes.len() <= 50);
    let named = mailboxes.iter().filter_map(address::Mailbox::identity).chain(EmailAddress::parse(&text));
    for identity in named {
        let written = identity.as_str();
        assert!(written.is_ascii() && written.len() <= 254 && identity.local_part().len() <= 64, "{written:?}");
        assert!(!written.contains(|c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,;:\"".contains(c)));
        assert_eq!(EmailAddress::parse(written).as_ref().map(EmailAddress::canonical), Some(identity.canonical()));
        assert_eq!(EmailAddress::parse(identity.canonical()).expect("it is an address").as_str(), identity.canonical());
        assert_eq!(written.matches('@').count(), 1);
        identity.shown();
    }
    for mailbox in &mailboxes {
        address::warnings(&mailbox.name, &mailbox.address);
    }
    let visible = address::visible(&text);
    assert!(!visible.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{visible:?}");
}

/// `Authentication-Results` as anybody may write them: without the name of the trusted host nothing is believed.
fn results(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let headers: Vec<(String, String)> =
        text.split('\n').map(|value| ("authentication-results".to_owned(), value.to_owned())).collect();
    let told = authentication::read(&headers, Some("mx.desk.example"), "acme.example");
    if told == Some(Authentication::Pass) {
        let lower = text.to_ascii_lowercase();
        assert!(lower.contains("mx.desk.example") && lower.contains("pass") && lower.contains("acme.example"));
    }
    assert_eq!(authentication::read(&headers, None, "acme.example"), None);
    let mut below = headers;
    below.insert(0, ("received".to_owned(), String::new()));
    assert_eq!(authentication::read(&below, Some("mx.desk.example"), "acme.example"), None);
}

/// Nobody makes a proof of ours but us; what we make is known again in either case of letters.
fn tokens(bytes: &[u8]) {
    let keys = keys();
    let text = String::from_utf8_lossy(bytes);
    if let Some(token) = reply_address::parse(&text) {
        assert!(!token.is_genuine(&keys, 1, OUR_MAILBOX), "a forged address");
    }
    assert!(unsubscribe_token::person(&keys, &text).is_none(), "a forged wish");
    unsubscribe_token::in_local_part(&text);
    assert!(message_id::read_loop_mark(&keys, "abc", &text).is_none(), "a forged loop mark");
    if let Some(id) = message_id::parse(&text, REPLY_DOMAIN) {
        let of = MessageIdFor { organisation: 1, ticket_handle: 2, message_handle: "abc" };
        assert!(!id.is_genuine(&keys, &of), "a forged Message-ID");
        assert!(message_id::parse(&id.as_minted(REPLY_DOMAIN), REPLY_DOMAIN).is_some());
    }
    // One of ours, with some of its letters changed as the input says.
    let of = TokenFor {
        purpose: AddressPurpose::Reply,
        ticket_handle: 91,
        participant: 1,
        epoch: 0,
        organisation: 1,
        mailbox: OUR_MAILBOX,
    };
    let minted = reply_address::mint(&keys, &of);
    let changed: String = minted
        .bytes()
        .zip(bytes.iter().chain(std::iter::repeat(&0)))
        .map(|(ours, change)| char::from(if change % 4 == 3 { change & 0x7f } else { ours }))
        .collect();
    if let Some(token) = reply_address::parse(&changed) {
        let is_same = changed.eq_ignore_ascii_case(&minted);
        assert_eq!(token.is_genuine(&keys, 1, OUR_MAILBOX), is_same, "{changed}");
    }
}

/// The end of a mail's content, found in pieces of any size, is where a plain search finds it (S-09).
fn lmtp(bytes: &[u8]) {
    let Some((step, content)) = bytes.split_first() else { return };
    let mut reader = DataReader::new(1 << 20);
    let mut end = None;
    let mut fed = 0;
    for piece in content.chunks(usize::from(*step).max(1)) {
        if let Some(used) = reader.feed(piece) {
            end = Some(fed + used);
            break;
        }
        fed += piece.len();
    }
    let with_line_before = [b"\r\n", content].concat();
    let expected = with_line_before.windows(5).position(|five| five == b"\r\n.\r\n");
    assert_eq!(end, expected.map(|at| at + 3));
    let (Some(at), Ok(taken)) = (expected, reader.finish()) else { return };
    let mut unstuffed = Vec::new();
    for (index, byte) in with_line_before[..at + 2].iter().enumerate() {
        let is_put_in = *byte == b'.' && index >= 2 && with_line_before[..index].ends_with(b"\r\n");
        if !is_put_in {
            unstuffed.push(*byte);
        }
    }
    assert_eq!(taken, unstuffed[2..]);
}
