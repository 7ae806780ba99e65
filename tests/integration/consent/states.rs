//! The life of a consent, tried as a whole: from each place where it can stand, every step by the program's own verbs, and
//! every other place by SQL that no code of ours would run. What `life` does not know, neither can do.

use accord::consent::expiring;
use accord::consent::granting::Pending;
use accord::consent::life::{self, GrantState, RequestState, Standing, Step};
use accord::consent::register;
use accord::consent::stopping;
use accord::consent::withdrawing::{self, Kept};
use accord::db::types::ConsentRequestId;
use accord::diagnostics::trace_store;
use accord::people::memberships::{self, Rights};

use super::*;

/// When a grant ends that was made when the test began, as both databases write it.
const HOUR_LATER: &str = "'2026-11-23 09:00:00'";

/// A desk on which two of the company may grant, so that every place can be reached.
struct Lives {
    story: Story,
    asked: std::cell::Cell<u32>,
}

impl Lives {
    fn begin() -> Lives {
        let story = Story::begin();
        let (paul, arnaud, now) = (story.cast.paul, story.cast.arnaud, story.test.now());
        let rights = Rights { grants_tracing: true, ..Rights::default() };
        story.test.write(move |db| memberships::change_rights(db, arnaud, paul, rights, None, now));
        Lives { story, asked: std::cell::Cell::new(0) }
    }

    fn ask(&self) -> ConsentRequest {
        self.asked.set(self.asked.get() + 1);
        let terms = self.story.terms(Subject::Organisation);
        self.story.ask(Terms { purpose: format!("Comprendre, {}", self.asked.get()), ..terms })
    }

    /// A consent that stands there.
    fn at(&self, standing: Standing) -> ConsentRequest {
        let request = self.ask();
        let way: &[Step] = match standing {
            Standing::Unasked => panic!("what was not asked is not there"),
            Standing::Requested => &[],
            Standing::AwaitingSecond => &[Step::Approve],
            Standing::Active => &[Step::Grant],
            Standing::Ended => &[Step::Grant, Step::End],
            Standing::Destroyed => &[Step::Grant, Step::End, Step::Destroy],
            Standing::Refused => &[Step::Refuse],
            Standing::Lapsed => &[Step::Lapse],
            Standing::Cancelled => &[Step::Cancel],
        };
        for step in way {
            self.take(*step, &request).unwrap();
        }
        assert_eq!(self.standing(&request), standing);
        request
    }

    /// The verb that takes this step, with everything given that it asks for.
    fn take(&self, step: Step, request: &ConsentRequest) -> Result<()> {
        let (story, now) = (&self.story, self.story.test.now());
        let (claire, lea) = (story.test.actor(story.cast.claire), story.test.actor(story.cast.lea));
        let (id, again) = (request.id, story.again(request));
        let write = &story.test.app.database;
        match step {
            Step::Ask => panic!("a step from nowhere"),
            Step::Approve => {
                let choice = Choice { wants_second: true, ..Choice::as_asked(&request.terms) };
                story.grant(request, Some(choice), story.cast.claire).map(drop)
            }
            Step::Grant if again.state == RequestState::AwaitingSecond => {
                story.grant(request, None, story.cast.paul).map(drop)
            }
            Step::Grant => story.grant(request, None, story.cast.claire).map(drop),
            Step::Refuse => write.write_now(move |db| granting::refuse(db, &again, &claire, now)),
            Step::Lapse => write.write_now(move |db| expiring::lapse(db, id, again.expires_at)),
            Step::Cancel => write.write_now(move |db| asking::cancel(db, &again, &lea, now)),
            Step::End => write.write_now(move |db| stopping::stop(db, &again, &lea, now)),
            Step::Destroy => {
                let keys = story.test.app.keys.clone();
                write.write_now(move |db| {
                    let grant = grants::granted(db, id)?;
                    let at = grant.kept_until.unwrap_or(now);
                    trace_store::destroy(db, &keys, &grant, at).map(drop)
                })
            }
        }
    }

    fn standing(&self, request: &ConsentRequest) -> Standing {
        match (self.story.again(request).state, self.story.grant_of(request)) {
            (RequestState::Granted, None) => panic!("granted without a grant"),
            (RequestState::Granted, Some(grant)) => match (grant.state, grant.destroyed_at) {
                (GrantState::Active, None) => Standing::Active,
                (GrantState::Ended, None) => Standing::Ended,
                (GrantState::Ended, Some(_)) => Standing::Destroyed,
                (GrantState::Active, Some(_)) => panic!("destroyed while it runs"),
            },
            (state, None) => Standing::of_request(state),
            (state, Some(_)) => panic!("{state} with a grant"),
        }
    }

    fn events(&self, request: &ConsentRequest) -> usize {
        self.story.test.read(|db| register::of_request(db, request.id)).len()
    }

    /// Lets the next one be granted.
    fn end(&self, request: &ConsentRequest) {
        let (claire, now) = (self.story.test.actor(self.story.cast.claire), self.story.test.now());
        if self.standing(request) == Standing::Active {
            let request = request.clone();
            self.story.test.write(move |db| withdrawing::withdraw(db, &request, Kept::No, &claire, now));
        }
    }

    /// SQL that would put the consent of `request`, which stands at `from`, there.
    fn forcing(&self, request: ConsentRequestId, from: Standing, to: Standing) -> String {
        let (id, claire) = (request.0, self.story.cast.claire.0);
        let has_grant = matches!(from, Standing::Active | Standing::Ended | Standing::Destroyed);
        let by = self.story.cast.claire;
        let choice = Choice::as_asked(&self.story.terms(Subject::Organisation));
        let pending = serde_json::to_string(&Pending { choice, by, at: self.story.test.now() }).unwrap();
        let question = |state: &str, further: &str| {
            format!("UPDATE consent_requests SET state = '{state}', {further} WHERE id = {id}")
        };
        let open = "decided_by = NULL, decided_at = NULL";
        let decided = format!("decided_by = {claire}, decided_at = created_at");
        let end = "state = 'ended', ended_at = granted_at, end_reason = 'withdrawn', kept_until = granted_at";
        let of_grant = |change: &str| format!("UPDATE consent_grants SET {change} WHERE request_id = {id}");
        match to {
            Standing::Unasked => format!("DELETE FROM consent_requests WHERE id = {id}"),
            Standing::Requested => question("requested", open),
            Standing::AwaitingSecond => question("awaiting_second", &format!("pending_choice = '{pending}', {open}")),
            Standing::Refused => question("refused", &decided),
            Standing::Lapsed => question("lapsed", &decided),
            Standing::Cancelled => question("cancelled", &decided),
            Standing::Active if has_grant => {
                of_grant("state = 'active', ended_at = NULL, end_reason = NULL, kept_until = NULL, destroyed_at = NULL")
            }
            Standing::Active if from == Standing::AwaitingSecond => self.by_two(id),
            Standing::Active => self.grant_row(id, ACTIVE),
            Standing::Ended if from == Standing::Active => of_grant(end),
            Standing::Ended if has_grant => of_grant("destroyed_at = NULL"),
            Standing::Ended => self.grant_row(id, "'ended', 'withdrawn', created_at, created_at, NULL"),
            Standing::Destroyed if from == Standing::Active => of_grant(&format!("{end}, destroyed_at = granted_at")),
            Standing::Destroyed if has_grant => of_grant("destroyed_at = kept_until"),
            Standing::Destroyed => self.grant_row(id, "'ended', 'withdrawn', created_at, created_at, created_at"),
        }
    }

    /// A grant of all that question `id` asks for, in that state.
    fn grant_row(&self, id: i64, state: &str) -> String {
        granting_row(id, self.story.cast.claire.0, &[], state)
    }

    /// The grant that Claire approved and Paul agrees to.
    fn by_two(&self, id: i64) -> String {
        let paul = self.story.cast.paul.0.to_string();
        granting_row(id, self.story.cast.claire.0, &[("seconded_by", &paul)], ACTIVE)
    }

    /// Grants of a question that stands there, by other persons than its place asks for.
    fn by_others(&self, request: ConsentRequestId, from: Standing) -> Vec<String> {
        let (claire, paul) = (self.story.cast.claire.0, self.story.cast.paul.0);
        let by = |first: i64, second: Option<i64>| {
            let second = second.map_or("NULL".to_owned(), |person| person.to_string());
            granting_row(request.0, first, &[("seconded_by", &second)], ACTIVE)
        };
        match from {
            Standing::Requested => vec![by(claire, Some(paul)), by(paul, Some(claire))],
            Standing::AwaitingSecond => vec![by(claire, None), by(paul, None), by(paul, Some(claire))],
            _ => Vec::new(),
        }
    }
}

/// The state of a grant that runs, and what it has of its end.
const ACTIVE: &str = "'active', NULL, NULL, NULL, NULL";

/// What a row of a grant has from its question, and what else would stand there.
const GRANTED: [(&str, &str); 17] = [
    ("organisation_id", "organisation_id"),
    ("ticket_id", "ticket_id"),
    ("request_id", "id"),
    ("handle", "handle || '-forged'"),
    ("subject_kind", "subject_kind"),
    ("subject_id", "subject_id"),
    ("basis", "'instruction'"),
    ("seconded_by", "NULL"),
    ("scope", "scope"),
    ("level", "level"),
    ("duration_minutes", "duration_minutes"),
    ("retention_days", "retention_days"),
    ("exports_allowed", "exports_allowed"),
    ("stop_condition", "stop_condition"),
    ("idle_minutes", "idle_minutes"),
    ("granted_at", "created_at"),
    ("expires_at", HOUR_LATER),
];

/// Grants question `id` by SQL, with these columns otherwise than it asks.
fn granting_row(id: i64, by: i64, otherwise: &[(&str, &str)], state: &str) -> String {
    let value = |column: &str, usual: &'static str| {
        otherwise.iter().find(|(other, _)| *other == column).map_or(usual.to_owned(), |(_, value)| (*value).to_owned())
    };
    let columns: Vec<&str> = GRANTED.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = GRANTED.iter().map(|(column, usual)| value(column, usual)).collect();
    format!(
        "INSERT INTO consent_grants ({}, granted_by, version, state, end_reason, ended_at, kept_until, destroyed_at) \
         SELECT {}, {by}, 1, {state} FROM consent_requests WHERE id = {id}",
        columns.join(", "),
        values.join(", ")
    )
}

#[test]
fn cn_08_from_every_place_each_verb_leads_where_the_life_of_a_consent_says_or_nowhere() {
    let lives = Lives::begin();
    for from in Standing::ALL.into_iter().filter(|from| *from != Standing::Unasked) {
        for step in Step::ALL.into_iter().filter(|step| *step != Step::Ask) {
            let request = lives.at(from);
            let events = lives.events(&request);
            let outcome = lives.take(step, &request);
            let expected = life::after(from, step);
            assert_eq!(lives.standing(&request), expected.unwrap_or(from), "{from:?} {step:?}: {outcome:?}");
            assert_eq!(lives.events(&request) - events, usize::from(expected.is_some()), "{from:?} {step:?}");
            if expected.is_some() {
                outcome.unwrap();
            }
            lives.end(&request);
        }
    }
}

#[test]
fn cn_08_from_every_place_the_database_lets_a_consent_go_where_its_life_says_and_nowhere_else() {
    let lives = Lives::begin();
    for from in Standing::ALL.into_iter().filter(|from| *from != Standing::Unasked) {
        for to in Standing::ALL.into_iter().filter(|to| *to != from) {
            let request = lives.at(from);
            if to == Standing::Active {
                for sql in lives.by_others(request.id, from) {
                    lives.story.refused(&sql);
                }
            }
            let sql = lives.forcing(request.id, from, to);
            let outcome = lives.story.try_sql(sql.clone());
            let is_legal = Step::ALL.iter().any(|step| life::after(from, *step) == Some(to));
            assert_eq!(outcome.is_ok(), is_legal, "{from:?} to {to:?}: {outcome:?}\n{sql}");
            assert_eq!(lives.standing(&request), if is_legal { to } else { from }, "{from:?} to {to:?}");
            lives.end(&request);
        }
    }
    // From nowhere: a question begins as one.
    let like = lives.ask().id.0;
    for state in RequestState::ALL {
        let decided = match state {
            RequestState::Requested | RequestState::AwaitingSecond => "NULL, NULL".to_owned(),
            _ => format!("{}, created_at", lives.story.cast.claire.0),
        };
        let outcome = lives.story.try_sql(format!(
            "INSERT INTO consent_requests (organisation_id, ticket_id, handle, requested_by, subject_kind, purpose, \
             purpose_code, scope, level, manifest, manifest_sha256, duration_minutes, retention_days, recipients, \
             exports_allowed, stop_condition, wording_sha256, language, pending_choice, state, created_at, expires_at, \
             decided_by, decided_at) SELECT organisation_id, ticket_id, 'forged-{state}', requested_by, subject_kind, \
             purpose, purpose_code, scope, level, manifest, manifest_sha256, duration_minutes, retention_days, \
             recipients, exports_allowed, stop_condition, wording_sha256, language, '{{}}', '{state}', created_at, \
             expires_at, {decided} FROM consent_requests WHERE id = {like}"
        ));
        assert_eq!(outcome.is_ok(), *state == RequestState::Requested, "nowhere to {state}: {outcome:?}");
    }
}

/// What was destroyed is over: nothing of its grant changes any more, whatever it is.
#[test]
fn nothing_changes_a_grant_whose_capture_was_destroyed() {
    let lives = Lives::begin();
    let request = lives.at(Standing::Destroyed);
    for change in [
        "destroyed_at = NULL",
        "destroyed_at = destroyed_at",
        "last_viewed_at = granted_at",
        "kept_until = granted_at",
        "version = version + 1",
    ] {
        lives.story.refused(&format!("UPDATE consent_grants SET {change} WHERE request_id = {}", request.id.0));
    }
    lives.story.refused(&format!("DELETE FROM consent_grants WHERE request_id = {}", request.id.0));
    let ended = lives.at(Standing::Ended);
    let early = format!("UPDATE consent_grants SET destroyed_at = ended_at WHERE request_id = {}", ended.id.0);
    lives.story.refused(&early);
}

#[test]
fn a_question_is_granted_by_its_grant_alone_and_what_was_decided_stays_decided() {
    let lives = Lives::begin();
    let (story, claire, paul) = (&lives.story, lives.story.cast.claire.0, lives.story.cast.paul.0);
    let request = lives.ask();
    let id = request.id.0;
    story.refused(&format!(
        "UPDATE consent_requests SET state = 'granted', decided_by = {claire}, decided_at = created_at WHERE id = {id}"
    ));
    story.taken(&lives.grant_row(id, ACTIVE));
    assert_eq!(lives.standing(&request), Standing::Active);
    for change in
        [format!("decided_by = {paul}"), "decided_at = expires_at".to_owned(), "pending_choice = '{}'".to_owned()]
    {
        story.refused(&format!("UPDATE consent_requests SET {change} WHERE id = {id}"));
    }
    // Who grants it too late to refuse it, or to take it back, is told so.
    for step in [Step::Refuse, Step::Cancel] {
        let outcome = lives.take(step, &request);
        assert!(is_conflict(&outcome, "conflict-consent-decided"), "{step:?}: {outcome:?}");
    }
}

/// The schema alone keeps a grant within its question.
#[test]
fn the_database_takes_no_grant_that_opens_more_than_its_question_asks() {
    let lives = Lives::begin();
    let (story, claire) = (&lives.story, lives.story.cast.claire.0);
    let terms = Terms {
        scope: Scope::of(&[Component::Pages, Component::Products], Level::Debug, vec!["invoice.id".to_owned()]),
        exports_allowed: false,
        stop_condition: "écran noir".to_owned(),
        idle_minutes: Some(30),
        ..story.terms(Subject::Organisation)
    };
    let request = story.ask(terms);
    let scope = |components: &str, attributes: &str| {
        format!("'{{\"components\":[{components}],\"attributes\":[{attributes}]}}'")
    };
    let part = |component: &str, level: &str| format!("{{\"component\":\"{component}\",\"level\":\"{level}\"}}");
    let (pages, mail) = (part("pages", "debug"), part("mail", "debug"));
    let wider: Vec<Vec<(&str, String)>> = vec![
        vec![("scope", scope(&format!("{pages},{mail}"), ""))],
        vec![("scope", scope(&mail, ""))],
        vec![
            ("scope", scope(&part("pages", "trace"), "")),
            ("level", "'trace'".to_owned()),
            ("seconded_by", story.cast.paul.0.to_string()),
        ],
        // A level that does not say how close the look is, and would need no second.
        vec![("scope", scope(&part("pages", "trace"), "")), ("level", "'info'".to_owned())],
        vec![("level", "'info'".to_owned())],
        vec![("scope", scope(&part("pages", "everything"), ""))],
        vec![("scope", scope("", ""))],
        vec![("scope", "'{}'".to_owned())],
        vec![("scope", "'no scope'".to_owned())],
        vec![("scope", scope(&part("products", "debug"), "\"invoice.id\",\"card.number\""))],
        vec![("duration_minutes", "61".to_owned())],
        vec![("retention_days", "8".to_owned())],
        vec![("exports_allowed", "TRUE".to_owned())],
        vec![("stop_condition", "''".to_owned())],
        vec![("idle_minutes", "NULL".to_owned())],
        vec![("expires_at", "'2026-11-23 09:01:30'".to_owned())],
        // After the question was over.
        vec![("granted_at", "'2026-11-26 08:00:00'".to_owned()), ("expires_at", "'2026-11-26 09:00:00'".to_owned())],
        vec![("ticket_id", "ticket_id + 1".to_owned())],
    ];
    let sql = |otherwise: &[(&str, String)]| {
        let otherwise: Vec<(&str, &str)> = otherwise.iter().map(|(column, value)| (*column, value.as_str())).collect();
        granting_row(request.id.0, claire, &otherwise, ACTIVE)
    };
    for otherwise in &wider {
        story.refused(&sql(otherwise));
    }
    assert_eq!(story.again(&request).state, RequestState::Requested);
    // Less of everything is taken, so nothing else was wrong with them.
    story.taken(&sql(&[
        ("scope", scope(&part("pages", "info"), "")),
        ("level", "'info'".to_owned()),
        ("duration_minutes", "30".to_owned()),
        ("retention_days", "1".to_owned()),
        ("expires_at", "'2026-11-23 08:30:00'".to_owned()),
    ]));
    assert_eq!(story.again(&request).state, RequestState::Granted);
}

/// The schema alone asks for both persons, and for the terms that the first of them approved.
#[test]
fn the_database_lets_a_second_agree_to_what_the_first_approved_and_to_nothing_else() {
    let lives = Lives::begin();
    let (story, claire, paul) = (&lives.story, lives.story.cast.claire, lives.story.cast.paul);
    let request = lives.ask();
    let id = request.id.0;
    let part = "{\"component\":\"pages\",\"level\":\"info\"}";
    let pages = format!("'{{\"components\":[{part}],\"attributes\":[]}}'");
    let choice = Choice {
        scope: request.terms.scope.narrowed(&[Component::Pages], Level::Info),
        duration_minutes: 30,
        retention_days: 1,
        exports_allowed: false,
        wants_second: true,
        ..Choice::as_asked(&request.terms)
    };
    assert!(
        request.terms.exports_allowed && request.terms.scope.components().len() > 1,
        "there is something to narrow"
    );
    // Nobody approves without a name, or in the name of nobody.
    for pending in ["NULL", "'{}'", "'{\"by\":null}'", "'{\"by\":999999}'"] {
        story.refused(&format!(
            "UPDATE consent_requests SET state = 'awaiting_second', pending_choice = {pending} WHERE id = {id}"
        ));
    }
    assert!(story.grant(&request, Some(choice.clone()), claire).is_ok());
    assert_eq!(lives.standing(&request), Standing::AwaitingSecond);
    // What Claire approved is hers, and stays.
    for (choice, by) in [
        (Choice::as_asked(&request.terms), claire),
        (choice.clone(), paul),
        (Choice { duration_minutes: 60, ..choice }, claire),
    ] {
        let pending = serde_json::to_string(&Pending { choice, by, at: story.test.now() }).unwrap();
        story.refused(&format!("UPDATE consent_requests SET pending_choice = '{pending}' WHERE id = {id}"));
    }
    story.refused(&format!("UPDATE consent_requests SET pending_choice = NULL WHERE id = {id}"));
    let second = paul.0.to_string();
    let approved: [(&str, &str); 7] = [
        ("seconded_by", &second),
        ("scope", &pages),
        ("level", "'info'"),
        ("duration_minutes", "30"),
        ("retention_days", "1"),
        ("exports_allowed", "FALSE"),
        ("expires_at", "'2026-11-23 08:30:00'"),
    ];
    for (column, other) in [
        ("scope", "scope"),
        ("duration_minutes", "45"),
        ("retention_days", "2"),
        ("exports_allowed", "TRUE"),
        ("seconded_by", "NULL"),
    ] {
        let mut otherwise = approved.to_vec();
        for term in &mut otherwise {
            match (column, term.0) {
                ("scope", "level") => term.1 = "level",
                ("duration_minutes", "expires_at") => term.1 = "'2026-11-23 08:45:00'",
                (_, own) if own == column => term.1 = other,
                _ => {}
            }
        }
        story.refused(&granting_row(id, claire.0, &otherwise, ACTIVE));
    }
    let own_use = format!("{}", claire.0);
    let own = [("subject_kind", "'person'"), ("subject_id", &*own_use), ("basis", "'consent'")];
    story.refused(&granting_row(id, claire.0, &[&approved[..], &own[..]].concat(), ACTIVE));
    // Exactly that is taken, so nothing else was wrong with them.
    story.taken(&granting_row(id, claire.0, &approved, ACTIVE));
    assert_eq!(lives.standing(&request), Standing::Active);
}
