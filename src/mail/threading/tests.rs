//! Every combination of evidence, and the decision it leads to: each row of the table, and what holds for all of them.

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
const STATES: [TicketState; 3] = [TicketState::Current, TicketState::StaysClosed, TicketState::Merged];

fn every_evidence() -> Vec<Evidence> {
    let mut all = Vec::new();
    for token in TOKENS {
        for message in MESSAGES {
            for subject in SUBJECTS {
                for sender in SENDERS {
                    for authentication in RESULTS {
                        for ticket in STATES {
                            for bits in 0..8 {
                                all.push(Evidence {
                                    token,
                                    message,
                                    subject,
                                    disagrees: bits & 1 != 0,
                                    sender,
                                    authentication,
                                    usually_passes: bits & 2 != 0,
                                    ticket,
                                    automatic: bits & 4 != 0,
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
    usually_passes: false,
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
    ("K A M", "participant", "less", Rule::Unusual, Outcome::AppendRestricted),
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
        // Less than usual, which is as none for the rows that do not name it.
        NoResult if evidence.usually_passes => "less",
        NoResult => "none",
        Fail => "fail",
    };
    let holds = |cell: &str, word: &str| cell == "*" || cell.split(' ').any(|each| each == word);
    PRINTED
        .iter()
        .filter(|row| (row.3 == Rule::D15) == evidence.automatic)
        .find(|row| {
            let is_less = result == "less" && row.3 != Rule::Unusual;
            holds(row.0, letter) && holds(row.1, sender) && holds(row.2, if is_less { "none" } else { result })
        })
        .map(|row| (row.3, row.4))
        .unwrap_or_else(|| panic!("no row for {evidence:?}"))
}

#[test]
fn th_06_every_combination_is_decided_as_the_table_says() {
    let all = every_evidence();
    assert_eq!(all.len(), 6 * 5 * 3 * 5 * 3 * 3 * 8);
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
fn th_10_who_is_usually_proven_and_is_not_now_is_read_by_staff_only() {
    for evidence in [K, M, Evidence { message: MessageEvidence::Received, ..PLAIN }] {
        let usual = Evidence { sender: Sender::Participant, usually_passes: true, ..evidence };
        assert_eq!(verdict(usual).1, Outcome::Append);
        let decision = decide(&Evidence { authentication: NoResult, ..usual });
        assert_eq!((decision.rule, decision.outcome), (Rule::Unusual, Outcome::AppendRestricted));
        assert!(!decision.reaches_customers() && !decision.may_propose_participants());
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
    assert_eq!(verdict(Evidence { authentication: NoResult, ..participant }), (Rule::D7, Outcome::AppendRestricted));
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
    let decision = decide(&Evidence { token: TokenEvidence::OfThisAgent, sender: Sender::AgentWithoutAccess, ..PLAIN });
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
        let evidence = Evidence { token: TokenEvidence::OfThisAgent, sender: Sender::Agent, authentication, ..PLAIN };
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
                TicketState::StaysClosed => Destination::FollowUp,
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
    let old = decide(&Evidence { automatic: true, ticket: TicketState::StaysClosed, ..K });
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
