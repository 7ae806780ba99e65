//! Reports as mail systems write them for people: an explanation, and below it the mail that came back or the header of it.

use std::sync::LazyLock;

use regex::Regex;

use super::{Fate, IDS, RecipientReport, Status, bracketed, is_bad_address, reason, reply_class};
use crate::mail::incoming::ParsedMail;

/// Characters of the explanation that are looked at.
const EXPLANATION: usize = 16 << 10;
/// Characters after it in which the header of the mail is looked for.
const COPY: usize = 64 << 10;
/// Addresses in an explanation; the failed one is among the first.
const ADDRESSES: usize = 20;
/// No address of ours is longer (I-01).
const ADDRESS_BYTES: usize = 254;

/// What the words say.
pub(super) struct Told {
    pub recipient: Option<RecipientReport>,
    pub mail_ids: Vec<String>,
}

/// Reads the text of a report, and the field in which some systems name whom the mail did not reach.
pub(super) fn read(mail: &ParsedMail) -> Told {
    let text: String = mail.text.chars().take(EXPLANATION + COPY).collect();
    let start = start_of_copy(&text).unwrap_or(text.len());
    let (explanation, copy) = text.split_at(start);
    let explanation: String = explanation.chars().take(EXPLANATION).collect();
    let named = mail.headers.iter().filter(|(name, _)| name == "x-failed-recipients").map(|(_, value)| value.as_str());
    let mut addresses = Vec::new();
    for address in named.chain([explanation.as_str()]).flat_map(addresses_in) {
        if addresses.len() < ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let recipient = (!addresses.is_empty()).then(|| {
        let status = Status::find(&explanation);
        let class = status.map(|status| status.class).or_else(|| reply_class(&explanation));
        let is_delayed = says_delayed(&mail.subject) || says_still_tried(&explanation);
        let fate = match class {
            _ if is_delayed => Fate::Delayed,
            Some(2) => Fate::Delivered,
            _ => Fate::Failed { address_is_bad: is_bad_address(status, &explanation) },
        };
        RecipientReport { addresses, fate, reason: reason(line_with_the_reason(&explanation)) }
    });
    Told { recipient, mail_ids: ids_in(copy) }
}

/// Where the header of the mail that came back begins.
fn start_of_copy(text: &str) -> Option<usize> {
    static FIELD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?im)^[ \t>|]*(return-path|received|message-id|mime-version|dkim-signature|auto-submitted):[ \t]")
            .expect("well formed")
    });
    FIELD.find(text).map(|found| found.start())
}

fn ids_in(copy: &str) -> Vec<String> {
    static ID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?im)^[ \t>|]*message-id:\s*(<[^<>\s]+>)").expect("well formed"));
    ID.captures_iter(copy).filter_map(|found| bracketed(&found[1])).take(IDS).collect()
}

fn addresses_in(text: &str) -> Vec<String> {
    static ADDRESS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[\p{L}\p{N}.-]+").expect("well formed"));
    let found = ADDRESS.find_iter(text).map(|found| found.as_str().trim_matches(['.', '-', '\'']));
    found.filter(|address| address.len() <= ADDRESS_BYTES).map(str::to_lowercase).collect()
}

/// The line that bears a code or says that nobody is there; else the first.
fn line_with_the_reason(explanation: &str) -> &str {
    let lines = || explanation.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(|line| Status::find(line).is_some() || reply_class(line).is_some() || says_nobody_is_there(line))
        .or_else(|| lines().next())
        .unwrap_or_default()
}

fn says_delayed(subject: &str) -> bool {
    static DELAYED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\bdelay(ed)?\b|^\s*warning:|retard|verzögert|still being retried").expect("well formed")
    });
    DELAYED.is_match(subject)
}

fn says_still_tried(explanation: &str) -> bool {
    static TRIED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            not\ yet\ been\ delivered | could\ not\ yet\ be\ delivered
          | will\ (continue|keep|be\ retried|try\ again|be\ tried\ again)
          | delivery\ attempts\ (to\ this\ address\ )?will\ (continue|be) | no\ action\ is\ required
          | warning\ message\ only | do\ not\ need\ to\ resend | sera\ de\ nouveau\ | de\ nouvelles\ tentatives
          | weitere\ zustellversuche",
        )
        .expect("well formed")
    });
    TRIED.is_match(explanation)
}

/// Whether the words say that there is nobody at the address, and not that somebody has no room or does not want the mail.
pub(super) fn says_nobody_is_there(words: &str) -> bool {
    static NOBODY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?isx)
            (user|recipient|mailbox|account|address|alias|addressee|person)\ (is\ )?(unknown|invalid|inactive|disabled)
          | (unknown|invalid|no\ such|non-?existent|bad)\ (virtual\ )?(local\ )?(e-?mail\ )?
            (user|recipient|mailbox|account|address|alias|local.?part|person)
          | (user|recipient|mailbox|account|address|alias|person)\b.{0,80}?
            (does\ not\ exist|doesn.t\ exist|do\ not\ exist|not\ found|no\ longer\ (exists|valid|available|active|in\ use)
            |couldn.t\ be\ found|wasn.t\ found|is\ not\ (valid|known|a\ known|recognized|registered))
          | not\ a\ valid\ (user|recipient|mailbox|account|address) | (mailbox|address|account|user|recipient)\ no\ longer\ accepts\ (e-?)?mail
          | no\ mailbox\ (here\ )?by\ that\ name | not\ our\ customer | unroute?able\ (mail\ )?(address|domain)
          | host(\ or\ domain\ name)?\ not\ found | domain\ (does\ not\ exist|not\ found) | couldn.t\ find\ any\ host
          | not\ listed\ in\ (domino|public\ name) | doesn.t\ have\ an?\ \S{1,40}\ account | no\ valid\ recipients?
          | recipient\ (address\ )?rejected:\ (access\ denied|user\ unknown|undeliverable)
          | (utilisateur|destinataire|adresse|boîte)\b.{0,60}?(inconnue?|introuvable|inexistante?|invalide|n.existe)
          | (empfänger|benutzer|adresse|postfach)\b.{0,60}?(unbekannt|existiert\ nicht|nicht\ gefunden)",
        )
        .expect("well formed")
    });
    static OTHER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            quota | mailbox\ (is\ )?full | spam | black.?list | block.?list | blocked | polic(y|ies) | reputation | rate\ limit
          | greylist
            # Whoever sent it is refused, and that is us.
          | \bsender('s)?\ (e-?mail\ )?(address|domain|verif|unknown|invalid|rejected|refused|denied|not\ |does)
          | (invalid|bad|unknown|unverified|unresolvable)\ sender\b | \bmail\ from\ domain
          | expéditeur\ (inconnu|invalide|refusé|rejeté) | absender(adresse|domain)?\ (unbekannt|ungültig|abgelehnt|existiert)",
        )
        .expect("well formed")
    });
    NOBODY.is_match(words) && !OTHER.is_match(words)
}
