//! Which ticket a mail belongs to, and what its sender may do there: the decision table of incoming mail as one pure
//! function, [`decide`] (TH-06). It looks nothing up; `intake` gathers the [`Evidence`] and carries out the [`Decision`].
//!
//! Evidence is **K**, a genuine token in the address the mail came to; **M**, an answer to a Message-ID of ours (genuine)
//! or to a customer's mail which the same mailbox received; **S**, the reference in the subject. Text in the body is never
//! evidence (TH-04). Only K, M and S of the mailbox the mail came to count, and of a mail that was handed over for one queue
//! only those of tickets that stand in it; the strongest decides, K before M before S.
//!
//! | row | evidence | From | authentication | outcome |
//! |---|---|---|---|---|
//! | D1 | K | a participant | pass, none | appended as said by the real From |
//! | D2 | K, or K or M with no identity | unknown or none | pass, none | appended for staff only, with a banner |
//! | D3 | K, M or S | anybody but an agent | fail | held |
//! | D4 | M | participant | pass, none | appended |
//! | D5 | M | unknown | pass, none | new ticket, with a hint for agents |
//! | D6 | S only | participant | pass | appended |
//! | D7 | S only | participant | none | appended for staff only |
//! | D8 | S only | unknown or none | pass, none | new ticket, with a hint for agents |
//! | D9 | K, M or S | agent, who does not fulfil D10 | any | held, with an alert |
//! | D10 | K made for this agent | that agent, still with access | pass | appended as the agent |
//! | D11 | K or M of another mailbox | anybody | any | new ticket, no hint |
//! | D12 | evidence that disagrees | | | the strongest decides; flagged |
//! | D13 | the ticket was merged, or stays closed | | | the same rows, for the other ticket or a linked new one |
//! | D14 | K or M that is not genuine | | | as if absent; flagged |
//! | D15 | automatic mail | anybody | any | K or M: attached silently; otherwise a new ticket, never answered |
//! | TH-10 | that of D1 or D4 | participant whose mail usually passes | none | appended for staff only |
//! | - | none | anybody | pass, none / fail | new ticket / held |
//!
//! Tried in the order D15, D14, D11, D13, D9, D10, D3, D12, then the rest. Two readings of the table are ours:
//!
//! - A customer's own Message-ID, which anybody in copy knows, is evidence for participants only (TH-02). For others it
//!   weighs what a subject weighs: D8, and D9 for agents.
//! - D14 takes a forged K or M for none, yet a mail which names an agent as its sender *and* carries one is held (D9):
//!   nothing but an attack or an outdated key looks like that (ADV-03).

use super::authentication::Authentication;

/// K: what the address that the mail came to says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEvidence {
    Absent,
    /// It looks like a token of ours, and is not genuine, or its epoch is over.
    NotGenuine,
    /// Genuine, for a ticket of another mailbox.
    OtherMailbox,
    /// Genuine, made for a customer.
    OfCustomer,
    /// Genuine, made for the agent whom From names.
    OfThisAgent,
    /// Genuine, made for an agent other than From.
    OfAgent,
}

/// M: the newest of In-Reply-To and References that means something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEvidence {
    Absent,
    /// It looks like a Message-ID of ours, and is not genuine.
    NotGenuine,
    /// A mail to or from another mailbox.
    OtherMailbox,
    /// A mail of ours, genuine.
    Ours,
    /// A mail from outside that this mailbox received.
    Received,
}

/// S: the reference in the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectEvidence {
    Absent,
    /// A ticket of another mailbox, which is as if absent.
    OtherMailbox,
    Present,
}

/// Who From is (the strict identity of I-03) to the ticket which the strongest evidence names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A customer who takes part in the ticket: the one the token was made for, or another.
    Participant,
    /// An agent who may see and answer the ticket now.
    Agent,
    /// An agent who may not, or no longer (ADV-05).
    AgentWithoutAccess,
    /// Somebody else.
    Unknown,
    /// From gives no identity.
    None,
}

/// The state of the ticket which the strongest evidence names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// Open, or it opens again.
    Current,
    /// Closed, and it stays so by the policy of its mailbox: what is written goes into a new one, linked to it (D13).
    StaysClosed,
    /// Merged into another, or another goes on from it. `Sender` is then who From is to that one.
    Merged,
}

/// All that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub token: TokenEvidence,
    pub message: MessageEvidence,
    pub subject: SubjectEvidence,
    /// Whether the tickets named by K, M and S (those that count) are not all the same.
    pub disagrees: bool,
    pub sender: Sender,
    pub authentication: Authentication,
    /// Whether mail of this sender usually comes with [`Authentication::Pass`], as far as one remembers (TH-10).
    pub usually_passes: bool,
    pub ticket: TicketState,
    /// Whether a machine sent it ([`super::automatic::Class::MachineMade`]).
    pub automatic: bool,
}

/// The row that decided. D12, D13 and D14 change which row that is, and show as flags and as [`Destination`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    D1,
    D2,
    D3,
    D4,
    D5,
    D6,
    D7,
    D8,
    D9,
    D10,
    D11,
    D15,
    /// TH-10: what D1 or D4 would append, from somebody who is usually proven and is not now.
    Unusual,
    NoEvidence,
}

impl Rule {
    /// The row's name, as in the record of a mail.
    pub fn name(self) -> &'static str {
        match self {
            Rule::D1 => "D1",
            Rule::D2 => "D2",
            Rule::D3 => "D3",
            Rule::D4 => "D4",
            Rule::D5 => "D5",
            Rule::D6 => "D6",
            Rule::D7 => "D7",
            Rule::D8 => "D8",
            Rule::D9 => "D9",
            Rule::D10 => "D10",
            Rule::D11 => "D11",
            Rule::D15 => "D15",
            Rule::Unusual => "TH-10",
            Rule::NoEvidence => "none",
        }
    }
}

/// What becomes of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A message in the ticket, said by From; everybody in the ticket reads it.
    Append,
    /// A message or a note by the agent, as the queue's setting says.
    AppendAsAgent,
    /// A message that staff read, with a banner; the sender is no participant and learns nothing.
    AppendRestricted,
    /// Kept with the ticket for staff; nothing reopens and nobody is told.
    AttachAutomatic,
    /// A ticket of its own.
    NewTicket,
    /// Nothing happens until an agent has looked at it; nobody is answered.
    Hold,
}

/// Which ticket an append goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The ticket named by the strongest evidence.
    Named,
    /// The one it was merged into.
    MergeTarget,
    /// A new one, linked to it.
    FollowUp,
}

/// What to do with a mail, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    pub rule: Rule,
    pub outcome: Outcome,
    /// Where it goes when it is appended or attached.
    pub destination: Destination,
    /// The evidence named more than one ticket (D12): to be logged and shown to agents.
    pub disagreement: bool,
    /// A token or Message-ID was not genuine (D14): to be logged.
    pub not_genuine: bool,
    /// Agents, and only they, are shown that it may belong to the ticket named.
    pub hint: bool,
    /// Staff are told at once.
    pub alert: bool,
    /// A machine sent it: nothing that follows may answer it.
    pub automatic: bool,
}

impl Decision {
    /// Whether customers other than the sender come to read its text, or the circle of participants may change.
    pub fn reaches_customers(&self) -> bool {
        matches!(self.outcome, Outcome::Append | Outcome::AppendAsAgent)
    }

    /// Whether addresses in To and Cc may be proposed as participants (TH-07).
    pub fn may_propose_participants(&self) -> bool {
        self.outcome == Outcome::Append && !self.automatic
    }

    /// Whether the ticket may reopen and wait for us again.
    pub fn may_reopen(&self) -> bool {
        matches!(self.outcome, Outcome::Append | Outcome::AppendAsAgent | Outcome::AppendRestricted)
    }

    /// Whether the ticket named by the evidence may be mentioned to the sender at all (TH-08).
    pub fn may_tell_the_sender(&self) -> bool {
        matches!(self.outcome, Outcome::Append | Outcome::AppendAsAgent)
    }
}

/// The strongest of the tickets that K, M and S name (those which are genuine and of this mailbox), and whether the
/// others disagree (D12). `Evidence::sender` and `Evidence::ticket` are to be found for this one.
pub fn strongest<T: PartialEq>(token: Option<T>, message: Option<T>, subject: Option<T>) -> Option<(T, bool)> {
    let mut named = [token, message, subject].into_iter().flatten();
    let first = named.next()?;
    let disagrees = named.any(|other| other != first);
    Some((first, disagrees))
}

/// The decision table.
pub fn decide(evidence: &Evidence) -> Decision {
    let decision = Decision {
        rule: Rule::NoEvidence,
        outcome: Outcome::NewTicket,
        destination: destination(evidence.ticket),
        disagreement: false,
        not_genuine: is_not_genuine(evidence),
        hint: false,
        alert: false,
        automatic: evidence.automatic,
    };
    let weight = weigh(evidence);
    // D12 for every row that goes by the evidence: with fewer than two pieces there is nothing to disagree.
    let decision = Decision { disagreement: evidence.disagrees && pieces(evidence) > 1, ..decision };

    if evidence.automatic {
        return automatic(evidence, weight, decision);
    }
    if is_of_other_mailbox(evidence) {
        return Decision {
            rule: Rule::D11,
            outcome: Outcome::NewTicket,
            destination: Destination::Named,
            disagreement: false,
            ..decision
        };
    }
    let from_agent = matches!(evidence.sender, Sender::Agent | Sender::AgentWithoutAccess);
    if from_agent && (weight != Weight::Nothing || decision.not_genuine) {
        let is_proven = evidence.token == TokenEvidence::OfThisAgent
            && evidence.sender == Sender::Agent
            && evidence.authentication == Authentication::Pass;
        return if is_proven {
            Decision { rule: Rule::D10, outcome: Outcome::AppendAsAgent, ..decision }
        } else {
            Decision { rule: Rule::D9, outcome: Outcome::Hold, alert: true, ..decision }
        };
    }
    if evidence.authentication == Authentication::Fail {
        let rule = if weight == Weight::Nothing { Rule::NoEvidence } else { Rule::D3 };
        return Decision { rule, outcome: Outcome::Hold, ..decision };
    }

    let is_unusual = evidence.usually_passes && evidence.authentication == Authentication::None;
    let (rule, outcome) = match (weight, evidence.sender) {
        (Weight::Token | Weight::Message, Sender::Participant) if is_unusual => {
            (Rule::Unusual, Outcome::AppendRestricted)
        }
        (Weight::Token, Sender::Participant) => (Rule::D1, Outcome::Append),
        (Weight::Token, _) => (Rule::D2, Outcome::AppendRestricted),
        (Weight::Message, Sender::Participant) => (Rule::D4, Outcome::Append),
        (Weight::Message, Sender::None) => (Rule::D2, Outcome::AppendRestricted),
        (Weight::Message, _) => (Rule::D5, Outcome::NewTicket),
        (Weight::Subject, Sender::Participant) if evidence.authentication == Authentication::Pass => {
            (Rule::D6, Outcome::Append)
        }
        (Weight::Subject, Sender::Participant) => (Rule::D7, Outcome::AppendRestricted),
        (Weight::Subject, _) => (Rule::D8, Outcome::NewTicket),
        (Weight::Nothing, _) => (Rule::NoEvidence, Outcome::NewTicket),
    };
    Decision { rule, outcome, hint: matches!(rule, Rule::D5 | Rule::D8), ..decision }
}

/// D15. Evidence of another mailbox attaches nothing, and an unproven sender who says "fail" is held as ever.
fn automatic(evidence: &Evidence, weight: Weight, decision: Decision) -> Decision {
    let decision = Decision { rule: Rule::D15, ..decision };
    if is_of_other_mailbox(evidence) {
        return Decision { disagreement: false, destination: Destination::Named, ..decision };
    }
    match weight {
        Weight::Token | Weight::Message => {
            // A machine's answer to an old matter opens no new one.
            let destination = match decision.destination {
                Destination::FollowUp => Destination::Named,
                destination => destination,
            };
            Decision { outcome: Outcome::AttachAutomatic, destination, ..decision }
        }
        Weight::Subject | Weight::Nothing if evidence.authentication == Authentication::Fail => {
            Decision { outcome: Outcome::Hold, ..decision }
        }
        Weight::Subject => Decision { hint: true, ..decision },
        Weight::Nothing => decision,
    }
}

/// What the strongest evidence weighs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Token,
    Message,
    Subject,
    Nothing,
}

fn weigh(evidence: &Evidence) -> Weight {
    use TokenEvidence::{OfAgent, OfCustomer, OfThisAgent};
    if matches!(evidence.token, OfCustomer | OfThisAgent | OfAgent) {
        return Weight::Token;
    }
    match evidence.message {
        MessageEvidence::Ours => Weight::Message,
        MessageEvidence::Received if evidence.sender == Sender::Participant => Weight::Message,
        MessageEvidence::Received => Weight::Subject,
        _ if evidence.subject == SubjectEvidence::Present => Weight::Subject,
        _ => Weight::Nothing,
    }
}

fn pieces(evidence: &Evidence) -> usize {
    use TokenEvidence::{OfAgent, OfCustomer, OfThisAgent};
    usize::from(matches!(evidence.token, OfCustomer | OfThisAgent | OfAgent))
        + usize::from(matches!(evidence.message, MessageEvidence::Ours | MessageEvidence::Received))
        + usize::from(evidence.subject == SubjectEvidence::Present)
}

fn is_not_genuine(evidence: &Evidence) -> bool {
    evidence.token == TokenEvidence::NotGenuine || evidence.message == MessageEvidence::NotGenuine
}

fn is_of_other_mailbox(evidence: &Evidence) -> bool {
    evidence.token == TokenEvidence::OtherMailbox || evidence.message == MessageEvidence::OtherMailbox
}

fn destination(ticket: TicketState) -> Destination {
    match ticket {
        TicketState::Current => Destination::Named,
        TicketState::StaysClosed => Destination::FollowUp,
        TicketState::Merged => Destination::MergeTarget,
    }
}

#[cfg(test)]
mod tests;
