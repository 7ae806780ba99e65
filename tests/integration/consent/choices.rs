//! What the two sides choose: what the agent's form begins with and tells of what to expect, and how the customer grants
//! less than was asked, or has a second person agree.

use accord::consent::estimating::{self, Estimate};
use accord::consent::life::RequestState;
use accord::consent::scope::{Basis, SubjectKind};
use accord::consent::withdrawing::{self, Kept};
use accord::people::memberships::{self, Rights};

use super::*;
use crate::support::browser::{Answered, Browser};

impl Story {
    /// Grants less on the page, as it stands: two components, coarser, and whatever else is ticked.
    async fn grant_less(&self, browser: &Browser, request: &ConsentRequest, ticked: &[(&str, &str)]) -> Answered {
        let page = browser.get(&format!("/consents/{}", request.handle)).await.text();
        let wording = page.split("name=\"wording\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let chosen = [
            ("way", "less"),
            ("wording", wording),
            ("components", "pages"),
            ("components", "database"),
            ("level", "info"),
            ("duration", "30"),
            ("retention", "1"),
        ];
        browser.post(&format!("/consents/{}/grant", request.handle), &[&chosen, ticked].concat()).await
    }

    fn may_grant(&self, person: PersonId) {
        let (arnaud, now) = (self.cast.arnaud, self.test.now());
        let rights = Rights { grants_tracing: true, ..Rights::default() };
        self.test.write(move |db| memberships::change_rights(db, arnaud, person, rights, None, now));
    }
}

#[actix_web::test]
async fn the_agent_s_form_begins_with_an_hour_of_one_person_kept_a_week() {
    let story = Story::begin();
    let lea = story.test.signed_in(story.cast.lea).await;
    let page = lea.get(&format!("/tickets/{}/consents/new", story.ticket.reference)).await.text();
    let chosen = |name: &str| {
        let list = page.split(&format!("name=\"{name}\"")).nth(1).unwrap().split("</select>").next().unwrap();
        let option = list.split("<option").find(|option| option.contains(" selected")).expect("one is chosen");
        option.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!((chosen("duration").as_str(), chosen("retention").as_str()), ("60", "7"));
    let checked: Vec<&str> =
        page.split("<input").filter(|input| input.split('>').next().unwrap().contains(" checked")).collect();
    assert!(checked.iter().any(|input| input.contains("name=\"subject\"") && input.contains("value=\"person\"")));
    assert!(
        !checked.iter().any(|input| input.contains("value=\"organisation\"") || input.contains("name=\"exports\""))
    );
    assert!(!checked.iter().any(|input| input.contains("name=\"components\"")), "no component is chosen for the agent");
    // Longer than may be is refused beside its field, and nobody is asked.
    let form = |duration, retention| {
        [
            ("purpose", "Écran noir"),
            ("subject", "person"),
            ("components", "pages"),
            ("level", "debug"),
            ("duration", duration),
            ("retention", retention),
        ]
    };
    let ask = format!("/tickets/{}/consents", story.ticket.reference);
    for (duration, retention) in [("1441", "7"), ("60", "31"), ("0", "7"), ("60", "0"), ("sixty", "7")] {
        lea.post(&ask, &form(duration, retention)).await.assert_status(422);
    }
    assert!(story.sent().is_empty());
    lea.post(&ask, &form("1440", "30")).await.assert_status(303);
}

#[actix_web::test]
async fn of_a_question_about_everybody_one_may_grant_one_s_own_use_alone() {
    let story = Story::begin();
    let request = story.ask_all();
    let claire = story.test.signed_in(story.cast.claire).await;
    let granted = story.grant_less(&claire, &request, &[("own_use", "true")]).await;
    assert!(granted.location().ends_with("?said=said-consent-granted"), "{}", granted.text());
    let grant = story.grant_of(&request).unwrap();
    assert_eq!((grant.subject, grant.basis), (Subject::Person(story.cast.claire), Basis::Consent));
    assert_eq!((grant.subject.kind(), grant.seconded_by), (SubjectKind::Person, None));
    assert_eq!(grant.scope.components(), [Component::Pages, Component::Sql]);
    // Nobody else is looked at, nor told that they were.
    claire.get("/requests").await.assert_says("class=\"consent-banner\"");
    let paul = story.test.signed_in(story.cast.paul).await;
    paul.get("/requests").await.assert_silent_about("class=\"consent-banner\"");
    let now = story.test.now();
    let running = |person: PersonId| {
        let Actor::Customer(customer) = story.test.actor(person) else { panic!("a customer") };
        story.test.read(|db| grants::running_for(db, &customer, now)).first().map(|grant| grant.id)
    };
    assert_eq!((running(story.cast.claire), running(story.cast.paul)), (Some(grant.id), None));
    let events = story.test.read(|db| accord::consent::register::of_request(db, request.id));
    let body: serde_json::Value = serde_json::from_str(&events[1].body).unwrap();
    assert_eq!((&body["event"]["type"], &body["principal"]["kind"]), (&"granted_narrower".into(), &"person".into()));
}

/// Nothing demands a second below trace; the first may want one all the same.
#[actix_web::test]
async fn the_first_may_want_a_second_to_agree_and_nothing_is_open_until_then() {
    let story = Story::begin();
    let request = story.ask_all();
    let claire = story.test.signed_in(story.cast.claire).await;
    // There is nobody else who could.
    let alone = story.grant_less(&claire, &request, &[("second", "true")]).await;
    alone.assert_status(409);
    assert_eq!(story.again(&request).state, RequestState::Requested);
    story.may_grant(story.cast.paul);
    story.sent();
    let first = story.grant_less(&claire, &request, &[("second", "true")]).await;
    assert!(first.location().ends_with("?said=said-consent-approved"), "{}", first.text());
    assert_eq!((story.again(&request).state, story.grant_of(&request)), (RequestState::AwaitingSecond, None));
    let page = format!("/consents/{}", request.handle);
    claire.get(&page).await.assert_says("Une seconde personne de votre organisation doit le confirmer");
    assert!(story.sent().iter().any(|mail| mail.to == "paul@arnaud.example"), "Paul is asked");
    // Pressing again herself, with whatever, agrees for nobody else.
    for _ in 0..2 {
        let again = story.grant(&request, None, story.cast.claire);
        assert!(matches!(again, Ok(Outcome::AwaitsSecond)), "{again:?}");
    }
    // What Paul agrees to is what Claire chose, and not what was asked.
    let paul = story.test.signed_in(story.cast.paul).await;
    let text = paul.get(&page).await.text();
    let wording = text.split("name=\"wording\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let second = paul.post(&format!("{page}/grant"), &[("way", "all"), ("wording", &wording)]).await;
    assert!(second.location().ends_with("?said=said-consent-granted"), "{}", second.text());
    let grant = story.grant_of(&request).unwrap();
    assert_eq!((grant.granted_by, grant.seconded_by), (story.cast.claire, Some(story.cast.paul)));
    assert_eq!((grant.scope.level(), grant.duration_minutes, grant.retention_days), (Level::Info, 30, 1));
}

#[actix_web::test]
async fn the_agent_and_the_customer_are_told_how_much_to_expect_from_what_was_captured_before() {
    let story = Story::begin();
    let (arnaud, brun) = (story.cast.arnaud, story.cast.brun);
    let estimate = |organisation| story.test.read(|db| estimating::estimate(db, organisation));
    assert_eq!(estimate(arnaud), None);
    // Half an hour in which 1 234 records were captured, and ten minutes in which there were 100.
    for (minutes, captured) in [(30, 1_234), (10, 100)] {
        let request = story.ask_all();
        let grant = story.granted(&request).id.0;
        story.test.clock.advance(TimeDelta::minutes(minutes));
        let (claire, now) = (story.test.actor(story.cast.claire), story.test.now());
        story.test.write(move |db| withdrawing::withdraw(db, &request, Kept::UntilItsDate, &claire, now));
        story.taken(&format!(
            "INSERT INTO trace_counters (grant_id, captured, dropped_full, dropped_budget, out_of_scope, late, redacted, \
             updated_at) SELECT id, {captured}, 9, 9, 9, 9, '{{}}', ended_at FROM consent_grants WHERE id = {grant}"
        ));
    }
    // What was captured, an hour, and nothing of what was dropped: 1 334 in 40 minutes.
    assert_eq!(estimate(arnaud), Some(Estimate { hourly: 2_001, is_own: true }));
    assert_eq!(estimate(brun), Some(Estimate { hourly: 2_001, is_own: false }));
    let lea = story.test.signed_in(story.cast.lea).await;
    let form = [("purpose", "Écran noir"), ("subject", "organisation"), ("components", "pages"), ("level", "debug")];
    let preview = lea.post(&format!("/tickets/{}/consents/preview", story.ticket.reference), &form).await;
    let said = preview.assert_status(200).text().replace(['\u{202f}', '\u{a0}'], " ");
    assert!(
        said.contains("Environ 2 001 enregistrements par heure, d’après les diagnostics antérieurs de ce client"),
        "{said}"
    );
    let zoe = story.test.read(|db| person::by_id(db, story.cast.zoe));
    let theirs = story.test.given().ticket(&zoe, "Écran noir", "Rien ne s'affiche.");
    let preview = lea.post(&format!("/tickets/{}/consents/preview", theirs.reference), &form).await;
    let said = preview.assert_status(200).text().replace(['\u{202f}', '\u{a0}'], " ");
    assert!(
        said.contains("Environ 2 001 enregistrements par heure, d’après les diagnostics d’autres clients"),
        "{said}"
    );
}
