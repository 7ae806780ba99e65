//! Which ticket a mail belongs to, and what its sender may do there: the decision table of incoming mail as one pure
//! function, [`decide`] (TH-06). It looks nothing up; `intake` gathers the [`Evidence`] and carries out the [`Decision`].
//!
//! Evidence is **K**, a genuine token in the address the mail came to; **M**, an answer to a Message-ID of ours (genuine)
//! or to a customer's mail which the same mailbox received; **S**, the reference in the subject. Text in the body is never
//! evidence (TH-04). Only K, M and S of the mailbox the mail came to count; the strongest decides, K before M before S.
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
//! | D13 | the ticket was merged, or is closed for 30 days | | | the same rows, for the other ticket or a linked new one |
//! | D14 | K or M that is not genuine | | | as if absent; flagged |
//! | D15 | automatic mail | anybody | any | K or M: attached silently; otherwise a new ticket, never answered |
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
    /// Open, or closed for at most [`FOLLOW_UP_AFTER_DAYS`].
    Current,
    /// Closed for longer.
    LongClosed,
    /// Merged into another. `Sender` is then who From is to that one.
    Merged,
}

/// An answer to a ticket closed for longer than this opens a new one, linked to it (D13).
pub const FOLLOW_UP_AFTER_DAYS: i64 = 30;

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

    let (rule, outcome) = match (weight, evidence.sender) {
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
        TicketState::LongClosed => Destination::FollowUp,
        TicketState::Merged => Destination::MergeTarget,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Authentication::{Fail, None as NoResult, Pass};

    const TOKENS: [TokenEvidence; 6] = [
        TokenEvidence::Absent,
        TokenEvidence::NotGenuine,
        TokenEvidence::OtherMailbox,
        TokenEvidence::OfCustomer,
        TokenEvidence::OfThisAgent,
        TokenEvidence::OfAgent,
    ];
    const MESSAGES: [MessageEvidence; 5] = [
        MessageEvidence::Absent,
        MessageEvidence::NotGenuine,
        MessageEvidence::OtherMailbox,
        MessageEvidence::Ours,
        MessageEvidence::Received,
    ];
    const SUBJECTS: [SubjectEvidence; 3] =
        [SubjectEvidence::Absent, SubjectEvidence::OtherMailbox, SubjectEvidence::Present];
    const SENDERS: [Sender; 5] =
        [Sender::Participant, Sender::Agent, Sender::AgentWithoutAccess, Sender::Unknown, Sender::None];
    const RESULTS: [Authentication; 3] = [Pass, NoResult, Fail];
    const STATES: [TicketState; 3] = [TicketState::Current, TicketState::LongClosed, TicketState::Merged];

    fn every_evidence() -> Vec<Evidence> {
        let mut all = Vec::new();
        for token in TOKENS {
            for message in MESSAGES {
                for subject in SUBJECTS {
                    for sender in SENDERS {
                        for authentication in RESULTS {
                            for ticket in STATES {
                                for (disagrees, automatic) in
                                    [(false, false), (true, false), (false, true), (true, true)]
                                {
                                    all.push(Evidence {
                                        token,
                                        message,
                                        subject,
                                        disagrees,
                                        sender,
                                        authentication,
                                        ticket,
                                        automatic,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
        all
    }

    /// A mail from outside without any evidence.
    const PLAIN: Evidence = Evidence {
        token: TokenEvidence::Absent,
        message: MessageEvidence::Absent,
        subject: SubjectEvidence::Absent,
        disagrees: false,
        sender: Sender::Unknown,
        authentication: Pass,
        ticket: TicketState::Current,
        automatic: false,
    };

    const K: Evidence = Evidence { token: TokenEvidence::OfCustomer, ..PLAIN };
    const M: Evidence = Evidence { message: MessageEvidence::Ours, ..PLAIN };
    const S: Evidence = Evidence { subject: SubjectEvidence::Present, ..PLAIN };

    fn verdict(evidence: Evidence) -> (Rule, Outcome) {
        let decision = decide(&evidence);
        (decision.rule, decision.outcome)
    }

    /// The table once more, as `email.md` prints it: letters of the evidence that counts, who, which results, what.
    /// Written as data and read top to bottom, so that it shares nothing with `decide` but the words.
    const PRINTED: &[(&str, &str, &str, Rule, Outcome)] = &[
        // Automatic mail is tried against the D15 rows, all other mail against the others.
        ("X", "*", "*", Rule::D15, Outcome::NewTicket),
        ("K M", "*", "*", Rule::D15, Outcome::AttachAutomatic),
        ("S -", "*", "pass none", Rule::D15, Outcome::NewTicket),
        ("S -", "*", "fail", Rule::D15, Outcome::Hold),
        ("X", "*", "*", Rule::D11, Outcome::NewTicket),
        ("A", "agent", "pass", Rule::D10, Outcome::AppendAsAgent),
        ("A K M S F", "agent former", "*", Rule::D9, Outcome::Hold),
        ("K M S A", "*", "fail", Rule::D3, Outcome::Hold),
        ("K A", "participant", "pass none", Rule::D1, Outcome::Append),
        ("K A", "unknown none", "pass none", Rule::D2, Outcome::AppendRestricted),
        ("M", "none", "pass none", Rule::D2, Outcome::AppendRestricted),
        ("M", "participant", "pass none", Rule::D4, Outcome::Append),
        ("M", "unknown", "pass none", Rule::D5, Outcome::NewTicket),
        ("S", "participant", "pass", Rule::D6, Outcome::Append),
        ("S", "participant", "none", Rule::D7, Outcome::AppendRestricted),
        ("S", "unknown none", "pass none", Rule::D8, Outcome::NewTicket),
        ("- F", "*", "fail", Rule::NoEvidence, Outcome::Hold),
        ("- F", "*", "pass none", Rule::NoEvidence, Outcome::NewTicket),
    ];

    /// The letter of the strongest evidence: K, A (a token made for the very agent in From), M, S, X (of another
    /// mailbox), F (forged, nothing else), - (none).
    fn letter(evidence: &Evidence) -> &'static str {
        let participant = evidence.sender == Sender::Participant;
        match (evidence.token, evidence.message, evidence.subject) {
            (TokenEvidence::OtherMailbox, _, _) | (_, MessageEvidence::OtherMailbox, _) => "X",
            (TokenEvidence::OfThisAgent, _, _) => "A",
            (TokenEvidence::OfCustomer | TokenEvidence::OfAgent, _, _) => "K",
            (_, MessageEvidence::Ours, _) => "M",
            (_, MessageEvidence::Received, _) => {
                if participant {
                    "M"
                } else {
                    "S"
                }
            }
            (_, _, SubjectEvidence::Present) => "S",
            (TokenEvidence::NotGenuine, _, _) | (_, MessageEvidence::NotGenuine, _) => "F",
            _ => "-",
        }
    }

    fn printed(evidence: &Evidence) -> (Rule, Outcome) {
        let letter = match (letter(evidence), evidence.automatic) {
            // For a machine it does not matter whom a token was made for, and what does not count is as if absent.
            ("A", true) => "K",
            ("F", true) => "-",
            (letter, _) => letter,
        };
        let sender = match evidence.sender {
            Sender::Participant => "participant",
            Sender::Agent => "agent",
            Sender::AgentWithoutAccess => "former",
            Sender::Unknown => "unknown",
            Sender::None => "none",
        };
        let result = match evidence.authentication {
            Pass => "pass",
            NoResult => "none",
            Fail => "fail",
        };
        let holds = |cell: &str, word: &str| cell == "*" || cell.split(' ').any(|each| each == word);
        PRINTED
            .iter()
            .filter(|row| (row.3 == Rule::D15) == evidence.automatic)
            .find(|row| holds(row.0, letter) && holds(row.1, sender) && holds(row.2, result))
            .map(|row| (row.3, row.4))
            .unwrap_or_else(|| panic!("no row for {evidence:?}"))
    }

    #[test]
    fn th_06_every_combination_is_decided_as_the_table_says() {
        let all = every_evidence();
        assert_eq!(all.len(), 6 * 5 * 3 * 5 * 3 * 3 * 4);
        for evidence in &all {
            assert_eq!(verdict(*evidence), printed(evidence), "{evidence:?}");
        }
    }

    #[test]
    fn th_06_nothing_but_d1_d4_d6_d10_reaches_customers_or_changes_participants() {
        for evidence in every_evidence() {
            let decision = decide(&evidence);
            if !matches!(decision.rule, Rule::D1 | Rule::D4 | Rule::D6 | Rule::D10) {
                assert!(!decision.reaches_customers(), "{evidence:?}");
                assert!(!decision.may_propose_participants(), "{evidence:?}");
                assert!(!decision.may_tell_the_sender(), "{evidence:?}");
            }
        }
    }

    #[test]
    fn th_06_a_failed_authentication_never_gets_further_than_staff() {
        for evidence in every_evidence().into_iter().filter(|evidence| evidence.authentication == Fail) {
            assert!(!decide(&evidence).reaches_customers(), "{evidence:?}");
        }
    }

    #[test]
    fn d1_a_token_with_a_participant_appends() {
        for authentication in [Pass, NoResult] {
            let evidence = Evidence { sender: Sender::Participant, authentication, ..K };
            assert_eq!(verdict(evidence), (Rule::D1, Outcome::Append));
        }
    }

    #[test]
    fn d2_adv_06_a_token_with_an_unknown_sender_is_for_staff_only() {
        for authentication in [Pass, NoResult] {
            for sender in [Sender::Unknown, Sender::None] {
                let decision = decide(&Evidence { sender, authentication, ..K });
                assert_eq!((decision.rule, decision.outcome), (Rule::D2, Outcome::AppendRestricted));
                assert!(!decision.may_tell_the_sender() && !decision.may_propose_participants());
            }
        }
    }

    #[test]
    fn adv_02_a_third_party_that_writes_to_a_customers_reply_address_is_read_by_staff_only() {
        for automatic in [false, true] {
            for authentication in RESULTS {
                let decision = decide(&Evidence { automatic, authentication, ..K });
                assert!(!decision.reaches_customers() && !decision.may_tell_the_sender());
            }
        }
    }

    #[test]
    fn d3_any_evidence_with_a_failed_authentication_is_held() {
        for evidence in [K, M, S] {
            for sender in [Sender::Participant, Sender::Unknown, Sender::None] {
                assert_eq!(verdict(Evidence { sender, authentication: Fail, ..evidence }), (Rule::D3, Outcome::Hold));
            }
        }
    }

    #[test]
    fn d4_an_answer_to_our_mail_by_a_participant_appends() {
        for message in [MessageEvidence::Ours, MessageEvidence::Received] {
            for authentication in [Pass, NoResult] {
                let evidence = Evidence { message, sender: Sender::Participant, authentication, ..PLAIN };
                assert_eq!(verdict(evidence), (Rule::D4, Outcome::Append));
            }
        }
    }

    #[test]
    fn d5_an_answer_to_our_mail_by_a_stranger_is_a_new_ticket_with_a_hint() {
        let decision = decide(&M);
        assert_eq!((decision.rule, decision.outcome, decision.hint), (Rule::D5, Outcome::NewTicket, true));
        // Without an identity it stays with the ticket, for staff.
        assert_eq!(verdict(Evidence { sender: Sender::None, ..M }), (Rule::D2, Outcome::AppendRestricted));
    }

    #[test]
    fn d6_d7_a_subject_reference_needs_a_participant_who_is_authenticated() {
        let participant = Evidence { sender: Sender::Participant, ..S };
        assert_eq!(verdict(participant), (Rule::D6, Outcome::Append));
        assert_eq!(
            verdict(Evidence { authentication: NoResult, ..participant }),
            (Rule::D7, Outcome::AppendRestricted)
        );
    }

    #[test]
    fn d8_adv_01_a_guessed_reference_from_a_stranger_opens_its_own_ticket() {
        for sender in [Sender::Unknown, Sender::None] {
            for authentication in [Pass, NoResult] {
                let decision = decide(&Evidence { sender, authentication, ..S });
                assert_eq!((decision.rule, decision.outcome, decision.hint), (Rule::D8, Outcome::NewTicket, true));
                assert!(!decision.may_propose_participants() && !decision.may_tell_the_sender());
            }
        }
        // A customer's own Message-ID is known to everybody in copy: for a stranger it weighs no more.
        let decision = decide(&Evidence { message: MessageEvidence::Received, ..PLAIN });
        assert_eq!((decision.rule, decision.outcome), (Rule::D8, Outcome::NewTicket));
    }

    #[test]
    fn d9_adv_05_an_agent_who_lost_access_is_held() {
        let decision =
            decide(&Evidence { token: TokenEvidence::OfThisAgent, sender: Sender::AgentWithoutAccess, ..PLAIN });
        assert_eq!((decision.rule, decision.outcome, decision.alert), (Rule::D9, Outcome::Hold, true));
    }

    #[test]
    fn d9_adv_03_a_forged_agent_is_held_whatever_the_evidence() {
        let with_evidence = [
            K,
            M,
            S,
            Evidence { token: TokenEvidence::OfAgent, ..PLAIN },
            Evidence { message: MessageEvidence::Received, ..PLAIN },
            Evidence { message: MessageEvidence::NotGenuine, ..PLAIN },
            Evidence { token: TokenEvidence::NotGenuine, ..PLAIN },
        ];
        for evidence in with_evidence {
            for authentication in RESULTS {
                let decision = decide(&Evidence { sender: Sender::Agent, authentication, ..evidence });
                assert_eq!((decision.rule, decision.outcome, decision.alert), (Rule::D9, Outcome::Hold, true));
            }
        }
        for authentication in [NoResult, Fail] {
            let evidence =
                Evidence { token: TokenEvidence::OfThisAgent, sender: Sender::Agent, authentication, ..PLAIN };
            assert_eq!(verdict(evidence), (Rule::D9, Outcome::Hold));
        }
        // Without a thread an agent's mail is anybody's mail.
        let evidence = Evidence { sender: Sender::Agent, ..PLAIN };
        assert_eq!(verdict(evidence), (Rule::NoEvidence, Outcome::NewTicket));
    }

    #[test]
    fn d10_an_agent_answers_with_a_token_of_their_own() {
        let evidence = Evidence { token: TokenEvidence::OfThisAgent, sender: Sender::Agent, ..PLAIN };
        assert_eq!(verdict(evidence), (Rule::D10, Outcome::AppendAsAgent));
    }

    #[test]
    fn d10_adv_07_an_agents_token_in_a_customers_mail_speaks_for_the_customer() {
        let evidence = Evidence { token: TokenEvidence::OfAgent, sender: Sender::Participant, ..PLAIN };
        assert_eq!(verdict(evidence), (Rule::D1, Outcome::Append));
        assert_eq!(verdict(Evidence { sender: Sender::Unknown, ..evidence }), (Rule::D2, Outcome::AppendRestricted));
    }

    #[test]
    fn d11_evidence_of_another_mailbox_opens_a_new_ticket_and_hints_nothing() {
        let token = Evidence { token: TokenEvidence::OtherMailbox, ..PLAIN };
        let message = Evidence { message: MessageEvidence::OtherMailbox, ..PLAIN };
        for evidence in [token, message] {
            for sender in SENDERS {
                for authentication in RESULTS {
                    let decision = decide(&Evidence { sender, authentication, ..evidence });
                    assert_eq!((decision.rule, decision.outcome), (Rule::D11, Outcome::NewTicket));
                    assert!(!decision.hint && !decision.disagreement && !decision.alert);
                }
            }
        }
    }

    #[test]
    fn d12_the_strongest_evidence_wins_and_the_disagreement_is_flagged() {
        assert_eq!(strongest(Some(1), Some(2), Some(3)), Some((1, true)));
        assert_eq!(strongest(None, Some(2), Some(3)), Some((2, true)));
        assert_eq!(strongest(Some(1), None, Some(1)), Some((1, false)));
        assert_eq!(strongest(None, None, Some(3)), Some((3, false)));
        assert_eq!(strongest::<i64>(None, None, None), None);
        let evidence = Evidence {
            message: MessageEvidence::Ours,
            subject: SubjectEvidence::Present,
            sender: Sender::Participant,
            authentication: NoResult,
            disagrees: true,
            ..K
        };
        let decision = decide(&evidence);
        assert_eq!((decision.rule, decision.disagreement), (Rule::D1, true));
        let decision = decide(&Evidence { token: TokenEvidence::Absent, ..evidence });
        assert_eq!((decision.rule, decision.disagreement), (Rule::D4, true));
    }

    #[test]
    fn d13_an_old_or_merged_ticket_follows_the_same_rows_elsewhere() {
        for evidence in every_evidence() {
            let current = decide(&Evidence { ticket: TicketState::Current, ..evidence });
            let here = decide(&evidence);
            assert_eq!((here.rule, here.outcome), (current.rule, current.outcome));
            if here.outcome == Outcome::Append {
                let expected = match evidence.ticket {
                    TicketState::Current => Destination::Named,
                    TicketState::LongClosed => Destination::FollowUp,
                    TicketState::Merged => Destination::MergeTarget,
                };
                assert_eq!(here.destination, expected);
            }
        }
    }

    #[test]
    fn d14_adv_04_a_forged_token_or_id_is_as_if_absent() {
        for evidence in every_evidence() {
            let from_agent = matches!(evidence.sender, Sender::Agent | Sender::AgentWithoutAccess);
            if evidence.token == TokenEvidence::NotGenuine && !from_agent {
                let without = Evidence { token: TokenEvidence::Absent, ..evidence };
                assert_eq!(verdict(evidence), verdict(without), "{evidence:?}");
                assert!(decide(&evidence).not_genuine);
            }
            if evidence.message == MessageEvidence::NotGenuine && !from_agent {
                let without = Evidence { message: MessageEvidence::Absent, ..evidence };
                assert_eq!(verdict(evidence), verdict(without), "{evidence:?}");
                assert!(decide(&evidence).not_genuine);
            }
        }
    }

    #[test]
    fn d15_a_machine_never_reopens_nor_speaks_to_customers() {
        for evidence in every_evidence().into_iter().filter(|evidence| evidence.automatic) {
            let decision = decide(&evidence);
            assert_eq!(decision.rule, Rule::D15);
            assert!(decision.automatic && !decision.may_reopen() && !decision.reaches_customers());
        }
        for evidence in [K, M] {
            let evidence = Evidence { automatic: true, ..evidence };
            assert_eq!(verdict(evidence), (Rule::D15, Outcome::AttachAutomatic));
        }
        let old = decide(&Evidence { automatic: true, ticket: TicketState::LongClosed, ..K });
        assert_eq!(old.destination, Destination::Named);
        assert_eq!(verdict(Evidence { automatic: true, ..PLAIN }), (Rule::D15, Outcome::NewTicket));
    }

    #[test]
    fn no_evidence_is_a_new_ticket_or_held_when_authentication_failed() {
        for sender in SENDERS {
            assert_eq!(verdict(Evidence { sender, ..PLAIN }), (Rule::NoEvidence, Outcome::NewTicket));
            let failed = Evidence { sender, authentication: Fail, ..PLAIN };
            assert_eq!(verdict(failed), (Rule::NoEvidence, Outcome::Hold));
        }
    }
}
