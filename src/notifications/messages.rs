//! What the mails say: one view for each template folder of `templates/email`.

use askama::Template;

use crate::error::{Error, Result};
use crate::html::from_text;
use crate::i18n::Texts;

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
    pub link: String,
    pub quote: Option<Quote>,
}

#[derive(Template)]
#[template(path = "email/reply/subject.txt")]
struct ReplySubject<'a> {
    reference: &'a str,
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/reply/body.txt")]
struct ReplyText<'a> {
    t: &'a Texts,
    marker: &'a str,
    reference: &'a str,
    text: &'a str,
    agent: &'a str,
    operator: &'a str,
    link: &'a str,
    quote: Option<&'a Quote>,
}

#[derive(Template)]
#[template(path = "email/reply/body.html")]
struct ReplyPage<'a> {
    t: &'a Texts,
    title: &'a str,
    marker: &'a str,
    reference: &'a str,
    html: &'a str,
    agent: &'a str,
    operator: &'a str,
    link: &'a str,
    quote: Option<&'a Quote>,
}

impl Reply {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&ReplySubject { reference: &self.reference, subject: &self.subject })?;
        let text = rendered(&ReplyText {
            t: &self.t,
            marker: &self.marker,
            reference: &self.reference,
            text: &self.text,
            agent: &self.agent,
            operator: &self.operator,
            link: &self.link,
            quote: self.quote.as_ref(),
        })?;
        let html = rendered(&ReplyPage {
            t: &self.t,
            title: &subject,
            marker: &self.marker,
            reference: &self.reference,
            html: &self.html,
            agent: &self.agent,
            operator: &self.operator,
            link: &self.link,
            quote: self.quote.as_ref(),
        })?;
        Ok(Words { subject, text, html })
    }
}

/// Says that a request has arrived (B3).
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    pub t: Texts,
    pub marker: String,
    pub reference: String,
    pub subject: String,
    pub operator: String,
    pub link: String,
}

#[derive(Template)]
#[template(path = "email/acknowledgement/subject.txt")]
struct AcknowledgementSubject<'a> {
    reference: &'a str,
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/acknowledgement/body.txt")]
struct AcknowledgementText<'a> {
    t: &'a Texts,
    marker: &'a str,
    reference: &'a str,
    operator: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "email/acknowledgement/body.html")]
struct AcknowledgementPage<'a> {
    t: &'a Texts,
    title: &'a str,
    marker: &'a str,
    reference: &'a str,
    operator: &'a str,
    link: &'a str,
}

impl Acknowledgement {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&AcknowledgementSubject { reference: &self.reference, subject: &self.subject })?;
        let text = rendered(&AcknowledgementText {
            t: &self.t,
            marker: &self.marker,
            reference: &self.reference,
            operator: &self.operator,
            link: &self.link,
        })?;
        let html = rendered(&AcknowledgementPage {
            t: &self.t,
            title: &subject,
            marker: &self.marker,
            reference: &self.reference,
            operator: &self.operator,
            link: &self.link,
        })?;
        Ok(Words { subject, text, html })
    }
}

/// The same, to an address that nobody has confirmed yet: a link, and no word of the request (OUT-10).
#[derive(Clone, Debug)]
pub struct FirstRequest {
    pub t: Texts,
    pub reference: String,
    pub operator: String,
    pub link: String,
}

#[derive(Template)]
#[template(path = "email/first_request/subject.txt")]
struct FirstRequestSubject<'a> {
    t: &'a Texts,
    reference: &'a str,
    operator: &'a str,
}

#[derive(Template)]
#[template(path = "email/first_request/body.txt")]
struct FirstRequestText<'a> {
    t: &'a Texts,
    reference: &'a str,
    operator: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "email/first_request/body.html")]
struct FirstRequestPage<'a> {
    t: &'a Texts,
    title: &'a str,
    reference: &'a str,
    operator: &'a str,
    link: &'a str,
}

impl FirstRequest {
    pub fn write(&self) -> Result<Words> {
        let subject =
            rendered(&FirstRequestSubject { t: &self.t, reference: &self.reference, operator: &self.operator })?;
        let text = rendered(&FirstRequestText {
            t: &self.t,
            reference: &self.reference,
            operator: &self.operator,
            link: &self.link,
        })?;
        let html = rendered(&FirstRequestPage {
            t: &self.t,
            title: &subject,
            reference: &self.reference,
            operator: &self.operator,
            link: &self.link,
        })?;
        Ok(Words { subject, text, html })
    }
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

#[derive(Template)]
#[template(path = "email/participant_message/subject.txt")]
struct ParticipantMessageSubject<'a> {
    reference: &'a str,
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/participant_message/body.txt")]
struct ParticipantMessageText<'a> {
    t: &'a Texts,
    marker: &'a str,
    reference: &'a str,
    author: &'a str,
    text: &'a str,
    operator: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "email/participant_message/body.html")]
struct ParticipantMessagePage<'a> {
    t: &'a Texts,
    title: &'a str,
    marker: &'a str,
    reference: &'a str,
    author: &'a str,
    html: &'a str,
    operator: &'a str,
    link: &'a str,
}

impl ParticipantMessage {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&ParticipantMessageSubject { reference: &self.reference, subject: &self.subject })?;
        let text = rendered(&ParticipantMessageText {
            t: &self.t,
            marker: &self.marker,
            reference: &self.reference,
            author: &self.author,
            text: &self.text,
            operator: &self.operator,
            link: &self.link,
        })?;
        let html = rendered(&ParticipantMessagePage {
            t: &self.t,
            title: &subject,
            marker: &self.marker,
            reference: &self.reference,
            author: &self.author,
            html: &self.html,
            operator: &self.operator,
            link: &self.link,
        })?;
        Ok(Words { subject, text, html })
    }
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

#[derive(Template)]
#[template(path = "email/agent_message/subject.txt")]
struct AgentMessageSubject<'a> {
    reference: &'a str,
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/agent_message/body.txt")]
struct AgentMessageText<'a> {
    t: &'a Texts,
    marker: &'a str,
    lead: &'a str,
    text: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "email/agent_message/body.html")]
struct AgentMessagePage<'a> {
    t: &'a Texts,
    title: &'a str,
    marker: &'a str,
    lead: &'a str,
    html: &'a str,
    link: &'a str,
}

impl AgentMessage {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&AgentMessageSubject { reference: &self.reference, subject: &self.subject })?;
        let text = rendered(&AgentMessageText {
            t: &self.t,
            marker: &self.marker,
            lead: &self.lead,
            text: &self.text,
            link: &self.link,
        })?;
        let html = rendered(&AgentMessagePage {
            t: &self.t,
            title: &subject,
            marker: &self.marker,
            lead: &self.lead,
            html: &self.html,
            link: &self.link,
        })?;
        Ok(Words { subject, text, html })
    }
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

#[derive(Template)]
#[template(path = "email/agent_assigned/subject.txt")]
struct AgentNoticeSubject<'a> {
    reference: &'a str,
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/agent_assigned/body.txt")]
struct AgentNoticeText<'a> {
    t: &'a Texts,
    lead: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "email/agent_assigned/body.html")]
struct AgentNoticePage<'a> {
    t: &'a Texts,
    title: &'a str,
    lead: &'a str,
    link: &'a str,
}

impl AgentNotice {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&AgentNoticeSubject { reference: &self.reference, subject: &self.subject })?;
        let text = rendered(&AgentNoticeText { t: &self.t, lead: &self.lead, link: &self.link })?;
        let html = rendered(&AgentNoticePage { t: &self.t, title: &subject, lead: &self.lead, link: &self.link })?;
        Ok(Words { subject, text, html })
    }
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

#[derive(Template)]
#[template(path = "email/account/subject.txt")]
struct AccountSubject<'a> {
    subject: &'a str,
}

#[derive(Template)]
#[template(path = "email/account/body.txt")]
struct AccountText<'a> {
    t: &'a Texts,
    name: &'a str,
    lead: &'a str,
    link: Option<&'a str>,
    until: Option<&'a str>,
    caution: &'a str,
    operator: &'a str,
}

#[derive(Template)]
#[template(path = "email/account/body.html")]
struct AccountPage<'a> {
    t: &'a Texts,
    title: &'a str,
    name: &'a str,
    lead: &'a str,
    link: Option<&'a str>,
    until: Option<&'a str>,
    caution: &'a str,
    operator: &'a str,
}

impl Account {
    pub fn write(&self) -> Result<Words> {
        let subject = rendered(&AccountSubject { subject: &self.subject })?;
        let text = rendered(&AccountText {
            t: &self.t,
            name: &self.name,
            lead: &self.lead,
            link: self.link.as_deref(),
            until: self.until.as_deref(),
            caution: &self.caution,
            operator: &self.operator,
        })?;
        let html = rendered(&AccountPage {
            t: &self.t,
            title: &subject,
            name: &self.name,
            lead: &self.lead,
            link: self.link.as_deref(),
            until: self.until.as_deref(),
            caution: &self.caution,
            operator: &self.operator,
        })?;
        Ok(Words { subject, text, html })
    }
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
