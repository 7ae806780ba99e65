//! What the mails say: one view for each template folder of `templates/email`.

use askama::Template;

use crate::error::{Error, Result};
use crate::html::{from_markdown, from_text};
use crate::i18n::Texts;
use crate::mail::reply_text::PREHEADER_START;

/// A mail's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Earlier words below an answer.
#[derive(Clone, Debug)]
pub struct Quote {
    pub attribution: String,
    pub text: String,
    pub html: String,
}

impl Quote {
    /// Quotes `text`, of which only the beginning is repeated when it is long.
    pub fn new(attribution: String, text: &str) -> Quote {
        const LONGEST: usize = 4_000;
        let mut cut: String = text.chars().take(LONGEST).collect();
        if cut.len() < text.len() {
            cut.push_str(" …");
        }
        let quoted: Vec<String> = cut.lines().map(|line| format!("> {line}")).collect();
        Quote { attribution, text: quoted.join("\n"), html: from_text(&cut) }
    }
}

/// What lists of mails show beside the subject: the beginning of what a mail says, which its first line, the marker, would
/// take the place of (OUT-12).
fn preheader(text: &str) -> String {
    const LONGEST: usize = 140;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", line[..end].rsplit_once(' ').map_or(&line[..end], |(whole, _)| whole)),
        None => line,
    };
    format!("{PREHEADER_START}{line}")
}

/// The three templates of a mail, each of which sees it as `mail`, and how they are put together.
macro_rules! templates {
    ($mail:ident: $subject:ident $subject_path:literal, $text:ident $text_path:literal, $page:ident $page_path:literal) => {
        #[derive(Template)]
        #[template(path = $subject_path)]
        struct $subject<'a> {
            mail: &'a $mail,
        }

        #[derive(Template)]
        #[template(path = $text_path)]
        struct $text<'a> {
            mail: &'a $mail,
        }

        #[derive(Template)]
        #[template(path = $page_path)]
        struct $page<'a> {
            t: &'a Texts,
            title: &'a str,
            mail: &'a $mail,
        }

        impl $mail {
            /// The mail in the language of its reader.
            pub fn write(&self) -> Result<Words> {
                let subject = rendered(&$subject { mail: self })?;
                let text = rendered(&$text { mail: self })?;
                let html = rendered(&$page { t: &self.t, title: &subject, mail: self })?;
                Ok(Words { subject, text, html })
            }
        }
    };
}

/// An agent's answer, with what it answers below.
#[derive(Clone, Debug)]
pub struct Reply {
    pub t: Texts,
    pub marker: String,
    pub reference: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub agent: String,
    pub operator: String,
    /// The mailbox's, in Markdown; empty where answers end with the operator's name.
    pub signature: String,
    pub link: String,
    pub quote: Option<Quote>,
}

impl Reply {
    fn signature_page(&self) -> String {
        from_markdown(&self.signature)
    }

    fn preheader(&self) -> String {
        preheader(&self.text)
    }
}

templates! {
    Reply:
    ReplySubject "email/reply/subject.txt",
    ReplyText "email/reply/body.txt",
    ReplyPage "email/reply/body.html"
}

/// Says that a request has arrived (B3).
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    pub t: Texts,
    pub marker: String,
    pub reference: String,
    /// The ticket that it goes on from.
    pub continues: Option<String>,
    pub subject: String,
    pub operator: String,
    pub link: String,
}

impl Acknowledgement {
    fn received(&self) -> String {
        match &self.continues {
            Some(old) => self.t.with2("mail-acknowledgement-goes-on", "reference", &self.reference, "old", old),
            None => self.t.with("mail-acknowledgement-received", "reference", &self.reference),
        }
    }

    fn preheader(&self) -> String {
        preheader(&self.received())
    }
}

templates! {
    Acknowledgement:
    AcknowledgementSubject "email/acknowledgement/subject.txt",
    AcknowledgementText "email/acknowledgement/body.txt",
    AcknowledgementPage "email/acknowledgement/body.html"
}

/// The same, to an address that nobody has confirmed yet: a link, and no word of the request (OUT-10).
#[derive(Clone, Debug)]
pub struct FirstRequest {
    pub t: Texts,
    pub reference: String,
    pub operator: String,
    pub link: String,
}

templates! {
    FirstRequest:
    FirstRequestSubject "email/first_request/subject.txt",
    FirstRequestText "email/first_request/body.txt",
    FirstRequestPage "email/first_request/body.html"
}

/// Tells a participant what another wrote.
#[derive(Clone, Debug)]
pub struct ParticipantMessage {
    pub t: Texts,
    pub marker: String,
    pub reference: String,
    pub subject: String,
    pub author: String,
    pub text: String,
    pub html: String,
    pub operator: String,
    pub link: String,
}

impl ParticipantMessage {
    fn preheader(&self) -> String {
        preheader(&format!("{} {}", self.t.with("mail-participant-wrote", "name", &self.author), self.text))
    }
}

templates! {
    ParticipantMessage:
    ParticipantMessageSubject "email/participant_message/subject.txt",
    ParticipantMessageText "email/participant_message/body.txt",
    ParticipantMessagePage "email/participant_message/body.html"
}

/// Tells an agent what a customer wrote.
#[derive(Clone, Debug)]
pub struct AgentMessage {
    pub t: Texts,
    pub marker: String,
    pub reference: String,
    pub subject: String,
    pub lead: String,
    pub text: String,
    pub html: String,
    pub link: String,
}

impl AgentMessage {
    fn preheader(&self) -> String {
        preheader(&format!("{} {}", self.lead, self.text))
    }
}

templates! {
    AgentMessage:
    AgentMessageSubject "email/agent_message/subject.txt",
    AgentMessageText "email/agent_message/body.txt",
    AgentMessagePage "email/agent_message/body.html"
}

/// Tells an agent that something happened which they should look at.
#[derive(Clone, Debug)]
pub struct AgentNotice {
    pub t: Texts,
    pub reference: String,
    pub subject: String,
    pub lead: String,
    pub link: String,
}

templates! {
    AgentNotice:
    AgentNoticeSubject "email/agent_assigned/subject.txt",
    AgentNoticeText "email/agent_assigned/body.txt",
    AgentNoticePage "email/agent_assigned/body.html"
}

/// Tells an agent in which tickets there is news that came too late to be mailed by itself.
#[derive(Clone, Debug)]
pub struct Digest {
    pub t: Texts,
    pub subject: String,
    pub lines: Vec<DigestLine>,
    /// How many more tickets there are, and where.
    pub more: Option<(String, String)>,
    /// The page on which the reader wants no more mails about tickets.
    pub unsubscribe: String,
    /// The token in it.
    pub unsubscribe_token: String,
}

/// One ticket of a digest.
#[derive(Clone, Debug)]
pub struct DigestLine {
    pub title: String,
    /// How much there is.
    pub news: String,
    pub link: String,
}

templates! {
    Digest:
    DigestSubject "email/digest/subject.txt",
    DigestText "email/digest/body.txt",
    DigestPage "email/digest/body.html"
}

/// About somebody's account.
#[derive(Clone, Debug)]
pub struct Account {
    pub t: Texts,
    pub subject: String,
    pub name: String,
    pub lead: String,
    pub link: Option<String>,
    pub until: Option<String>,
    pub caution: String,
    pub operator: String,
}

templates! {
    Account:
    AccountSubject "email/account/subject.txt",
    AccountText "email/account/body.txt",
    AccountPage "email/account/body.html"
}

/// About a consent: a question, an answer, an end.
#[derive(Clone, Debug)]
pub struct Consent {
    pub t: Texts,
    pub subject: String,
    pub name: String,
    pub lead: String,
    /// What each link is for, and where it leads.
    pub links: Vec<(String, String)>,
    /// The text that is asked about, or what was agreed.
    pub paragraphs: Vec<String>,
    pub caution: String,
    pub operator: String,
    /// Signed documents to keep.
    pub documents: Vec<Document>,
}

/// A document that goes with a mail.
#[derive(Clone, Debug)]
pub struct Document {
    pub file_name: String,
    pub media_type: &'static str,
    pub text: String,
}

#[derive(Template)]
#[template(path = "email/consent/subject.txt")]
struct ConsentSubject<'a> {
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/consent/body.txt")]
struct ConsentText<'a> {
    t: &'a Texts,
    name: &'a str,
    lead: &'a str,
    links: &'a [(String, String)],
    paragraphs: &'a [String],
    caution: &'a str,
    operator: &'a str,
}

#[derive(Template)]
#[template(path = "email/consent/body.html")]
struct ConsentPage<'a> {
    t: &'a Texts,
    title: &'a str,
    name: &'a str,
    lead: &'a str,
    links: &'a [(String, String)],
    paragraphs: &'a [String],
    caution: &'a str,
    operator: &'a str,
}

impl Consent {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&ConsentSubject { subject: &self.subject })?;
        let text = rendered(&ConsentText {
            t: &self.t,
            name: &self.name,
            lead: &self.lead,
            links: &self.links,
            paragraphs: &self.paragraphs,
            caution: &self.caution,
            operator: &self.operator,
        })?;
        let html = rendered(&ConsentPage {
            t: &self.t,
            title: &subject,
            name: &self.name,
            lead: &self.lead,
            links: &self.links,
            paragraphs: &self.paragraphs,
            caution: &self.caution,
            operator: &self.operator,
        })?;
        Ok(Words { subject, text, html })
    }
}

fn rendered(template: &impl Template) -> Result<String> {
    template.render().map_err(|error| Error::Internal(anyhow::Error::new(error).context("a mail could not be worded")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::to_text;
    use crate::mail::reply_text::split;

    #[test]
    fn out_12_what_lists_show_is_one_line_of_whole_words() {
        let said = |text: &str| preheader(text).trim_start_matches(PREHEADER_START).to_owned();
        assert_eq!(said("Bonjour,\n\n redémarrez-le.\n"), "Bonjour, redémarrez-le.");
        let long = said(&"été ".repeat(100));
        assert!(long.ends_with("été …") && long.chars().count() <= 142, "{long}");
        assert_eq!(said(&"x".repeat(200)), format!("{} …", "x".repeat(140)));
        assert_eq!(said(""), "");
    }

    #[test]
    fn out_12_what_lists_show_is_no_part_of_an_answer_however_it_is_quoted() {
        let answer =
            format!("Merci.\n\n{}\n##- Répondez au-dessus -##\n\nRedémarrez-le.\n", preheader("Redémarrez-le."));
        assert_eq!(split(&answer).written.trim(), "Merci.");
        let html = format!("<p>Merci.</p><div>{}</div><p>Redémarrez-le.</p>", preheader("Redémarrez-le."));
        assert_eq!(split(&to_text(&html)).written.trim(), "Merci.");
    }
}
