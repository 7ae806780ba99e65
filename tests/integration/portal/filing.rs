//! Filing a request without an account and signed in.

use accord::db::types::PersonId;
use accord::people::person;
use accord::teams::queues::QueueKind;
use accord::tickets::connection_context;
use accord::tickets::messages::{self, Reading};
use actix_web::http::header;
use actix_web::test::TestRequest;
use chrono::TimeDelta;

use super::{hidden, mails, mails_to, only_ticket, queue, site, tickets};
use crate::support::browser::{Answered, Browser};
use crate::support::{TestApp, times};

/// A form as Nadia fills it in.
struct Form {
    name: String,
    email: String,
    queue: String,
    site: String,
    subject: String,
    text: String,
    key: String,
}

impl Form {
    fn of(app: &TestApp) -> Form {
        Form {
            name: "Nadia Ferrand".to_owned(),
            email: "nadia@inconnue.example".to_owned(),
            queue: queue(app, QueueKind::Support),
            site: String::new(),
            subject: "L’export reste vide".to_owned(),
            text: "Depuis ce matin, le fichier exporté ne contient rien.".to_owned(),
            key: accord::secret::random_handle(),
        }
    }

    fn fields(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("name", &self.name),
            ("email", &self.email),
            ("queue", &self.queue),
            ("site", &self.site),
            ("subject", &self.subject),
            ("text", &self.text),
            ("key", &self.key),
            ("time_zone", "Europe/Paris"),
        ]
    }

    async fn send(&self, browser: &Browser) -> Answered {
        browser.upload("/fr/requests", &self.fields(), &[]).await
    }
}

/// The answer without what differs from request to request.
fn without_reference(answer: &Answered) -> String {
    let location = answer.location();
    assert!(location.starts_with("/fr/requests/thanks?reference="), "{location}");
    format!("{} {:?} {}", answer.status, answer.headers.keys(), location.len())
}

#[actix_web::test]
async fn a1_a_request_without_an_account_becomes_a_ticket_with_its_connection_context() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let page = browser.get("/fr/requests/new").await;
    page.assert_status(200).assert_says("Votre nom").assert_says("Les champs marqués");
    let form = Form { key: hidden(&page.text(), "key"), ..Form::of(&app) };
    let answer = form.send(&browser).await;
    answer.assert_status(303);
    let ticket = only_ticket(&app);
    assert_eq!(ticket.subject, form.subject);
    assert!(!ticket.address_confirmed);
    browser.get(answer.location()).await.assert_status(200).assert_says(&ticket.reference);

    let requester = app.read(|db| person::by_id(db, ticket.requester_id));
    assert_eq!((requester.first_name.as_str(), requester.last_name.as_str()), ("Nadia", "Ferrand"));
    let (context, at) = app.read(|db| connection_context::of_ticket(db, &ticket)).unwrap();
    assert_eq!(context.ip_address, "192.0.2.7");
    assert_eq!(context.preferred_language, "fr");
    assert_eq!(context.time_zone, "Europe/Paris");
    assert_eq!(context.requested_url, "http://desk.example/fr/requests/new");
    assert_eq!(at, app.now());
}

#[actix_web::test]
async fn e4_no_cookie_is_set_on_the_whole_way_of_filing_without_an_account() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    for path in ["/", "/fr", "/fr/requests/new", "/en/requests/find"] {
        assert!(browser.get(path).await.header("set-cookie").is_none(), "{path}");
    }
    let answer = Form::of(&app).send(&browser).await;
    assert!(answer.header("set-cookie").is_none());
    assert!(browser.get(answer.location()).await.header("set-cookie").is_none());
    let link = mails(&app).iter().find(|mail| mail.to == "nadia@inconnue.example").unwrap().link();
    assert!(browser.get(&link).await.assert_status(200).header("set-cookie").is_none());
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn e1_what_is_missing_is_said_beside_each_field_and_what_was_typed_is_kept() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    for (language, mandatory, subject_is_missing) in
        [("fr", "obligatoire", "Objet\u{a0}: Ce champ"), ("en", "mandatory", "Subject: This field")]
    {
        let form =
            Form { name: String::new(), email: "pas une adresse".to_owned(), subject: String::new(), ..Form::of(&app) };
        let answer =
            browser.upload(&format!("/{language}/requests"), &form.fields(), &[("files", "a.txt", b"x")]).await;
        answer.assert_status(422).assert_says(&form.text).assert_says("pas une adresse").assert_says(mandatory);
        for field in ["name", "email", "subject", "files"] {
            answer.assert_says(&format!("id=\"{field}-error\""));
        }
        answer.assert_says(subject_is_missing).assert_silent_about("id=\"text-error\"");
        assert_eq!(hidden(&answer.text(), "key"), form.key);
    }
    assert!(tickets(&app).is_empty());
}

#[actix_web::test]
async fn e1_what_is_missing_is_called_as_it_is_on_the_form() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form { queue: String::new(), text: String::new(), ..Form::of(&app) };
    for (language, kind, text) in [
        ("fr", "Nature de la demande\u{a0}: ", "Ce qui s’est passé\u{a0}: "),
        ("en", "Kind of request: ", "What happened: "),
    ] {
        let answer = browser.upload(&format!("/{language}/requests"), &form.fields(), &[]).await;
        answer.assert_status(422).assert_says(kind).assert_says(text);
    }
}

#[actix_web::test]
async fn h_05_what_nobody_can_see_is_no_subject_and_no_text() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let unseen = "\u{200b}\u{2060} \u{ad}\u{3164}\u{2800}\u{202e}";
    let form = Form { subject: unseen.to_owned(), text: unseen.to_owned(), ..Form::of(&app) };
    let answer = form.send(&browser).await;
    answer.assert_status(422).assert_says("id=\"subject-error\"").assert_says("id=\"text-error\"");
    assert!(tickets(&app).is_empty());
}

#[actix_web::test]
async fn b16_every_field_says_why_it_is_asked() {
    let (app, cast) = TestApp::with_cast();
    let stranger = app.browser().await.get("/fr/requests/new").await.text();
    for field in ["name", "email", "queue", "site", "subject", "text", "files"] {
        assert!(stranger.contains(&format!("id=\"{field}-hint\"")), "{field}");
    }
    let customer = app.signed_in(cast.claire).await.get("/requests/new").await.text();
    for field in ["queue", "site", "subject", "text", "files"] {
        assert!(customer.contains(&format!("id=\"{field}-hint\"")), "{field}");
    }
}

#[actix_web::test]
async fn e3_a_request_for_an_intervention_names_its_site() {
    let (app, cast) = TestApp::with_cast();
    let lyon = site(&app, cast.arnaud, "Chai de Lyon");
    let intervention = queue(&app, QueueKind::Intervention);
    let browser = app.browser().await;
    let form = Form { queue: intervention.clone(), email: "claire@arnaud.example".to_owned(), ..Form::of(&app) };
    form.send(&browser).await.assert_status(422).assert_says("id=\"site-error\"");
    let named = Form { site: "chai de lyon".to_owned(), ..form };
    named.send(&browser).await.assert_status(303);
    let in_words = Form { site: "Le hangar".to_owned(), key: "another".to_owned(), ..named };
    in_words.send(&browser).await.assert_status(303);
    let filed = tickets(&app);
    assert!(filed[0].site_id.is_some());
    assert!(filed[1].site_id.is_none());
    let said = app.read(|db| messages::of_ticket(db, &filed[1], Reading::Public, 10));
    assert!(said[0].body_text.starts_with("Site\u{a0}: Le hangar\n\nDepuis"), "{}", said[0].body_text);

    let claire = app.signed_in(cast.claire).await;
    let fields = |site: &'static str, key: &'static str| {
        vec![
            ("queue", intervention.clone()),
            ("site", site.to_owned()),
            ("subject", "Panne".to_owned()),
            ("text", "La pompe est arrêtée.".to_owned()),
            ("key", key.to_owned()),
        ]
    };
    let send = |fields: Vec<(&'static str, String)>| {
        let claire = claire.clone();
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            claire.upload("/requests", &fields, &[]).await
        }
    };
    send(fields("", "one")).await.assert_status(422).assert_says("id=\"site-error\"");
    let mut with_site = fields("", "two");
    with_site[1].1 = lyon;
    send(with_site).await.assert_status(303);
    let brun = site(&app, cast.brun, "Atelier");
    let mut foreign = fields("", "three");
    foreign[1].1 = brun;
    send(foreign).await.assert_status(422).assert_says("id=\"site-error\"");
    assert_eq!(tickets(&app).len(), 3);
}

#[actix_web::test]
async fn adv_29_filing_answers_the_same_for_an_address_that_is_known_unknown_staff_s_or_blocked() {
    let (app, cast) = TestApp::with_cast();
    let now = app.now();
    let (ivan, anne) = (cast.ivan, cast.anne);
    app.write(move |db| person::disable(db, ivan, anne, now));
    let browser = app.browser().await;
    let mut answers = Vec::new();
    for email in ["claire@arnaud.example", "nobody@elsewhere.example", "lea@garonne.example", "ivan@moreau.example"] {
        let form = Form { email: email.to_owned(), ..Form::of(&app) };
        let answer = form.send(&browser).await;
        answer.assert_status(303);
        answers.push(without_reference(&answer));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[actix_web::test]
async fn b15_a_blocked_person_files_nothing_and_reads_nothing_by_links() {
    let (app, cast) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form { email: "ivan@moreau.example".to_owned(), ..Form::of(&app) };
    form.send(&browser).await.assert_status(303);
    let link = mails_to(&app, "ivan@moreau.example").pop().unwrap().link();
    browser.get(&link).await.assert_status(200);
    let (ivan, anne, now) = (cast.ivan, cast.anne, app.now());
    app.write(move |db| person::disable(db, ivan, anne, now));
    browser.get(&link).await.assert_status(404);
    Form { key: "again".to_owned(), ..form }.send(&browser).await.assert_status(303);
    assert_eq!(tickets(&app).len(), 1);
}

#[actix_web::test]
async fn adv_10_lp_02_ten_thousand_forms_in_a_victim_s_name_are_one_mail_without_a_word_of_theirs() {
    let app_settings = "[http]\ntrusted_proxies = [\"192.0.2.7\"]\n";
    for victim in ["victim@innocent.example", "claire@arnaud.example"] {
        let (app, _) = TestApp::cast_with_settings(app_settings);
        let browser = app.browser().await;
        let queue = queue(&app, QueueKind::Support);
        let mut taken = 0;
        // Each from somewhere else, so that what stops one place does not stop them.
        let places = 50;
        for number in 0..times(300, 10_000) {
            let key = format!("key-{number}");
            let fields = [
                ("name", "CLICK http://evil.example"),
                ("email", victim),
                ("queue", &queue),
                ("subject", "WIN A PRIZE"),
                ("text", "WIN A PRIZE http://evil.example"),
                ("key", &key),
            ];
            let from = format!("203.0.{}.7", number % places);
            let answer = browser.upload_from(&from, "/en/requests", &fields).await;
            assert!([303, 429].contains(&answer.status.as_u16()), "{}", answer.text());
            taken += usize::from(answer.status == 303);
        }
        // And links asked for, with the references that the thanks page told.
        for ticket in super::tickets(&app) {
            browser.post("/en/requests/find", &[("reference", &ticket.reference), ("email", victim)]).await;
        }
        let told = mails_to(&app, victim);
        assert_eq!(told.len(), 1, "{taken} forms were taken");
        for word in ["WIN", "PRIZE", "evil.example", "CLICK"] {
            assert!(!told[0].raw.contains(word) && !told[0].text.contains(word) && !told[0].subject.contains(word));
        }
    }
}

#[actix_web::test]
async fn one_place_cannot_flood_the_desk() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let mut refused = 0;
    for number in 0..40 {
        let form = Form { email: format!("somebody{number}@many.example"), ..Form::of(&app) };
        let answer = form.send(&browser).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert_eq!(refused, 10);
    app.pass(TimeDelta::hours(1));
    Form::of(&app).send(&browser).await.assert_status(303);
}

#[actix_web::test]
async fn x_02_a_form_sent_fifty_times_at_once_is_one_ticket_and_one_mail() {
    let (app, cast) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form::of(&app);
    let answers = futures_util::future::join_all((0..50).map(|_| form.send(&browser))).await;
    let locations: std::collections::BTreeSet<String> =
        answers.iter().map(|answer| answer.assert_status(303).location().to_owned()).collect();
    assert_eq!(locations.len(), 1);
    only_ticket(&app);
    assert_eq!(mails_to(&app, &form.email).len(), 1);

    let claire = app.signed_in(cast.claire).await;
    let support = queue(&app, QueueKind::Support);
    let fields =
        [("queue", support.as_str()), ("subject", "Lenteur"), ("text", "Tout est lent."), ("key", "claire-one")];
    let answers = futures_util::future::join_all((0..50).map(|_| claire.upload("/requests", &fields, &[]))).await;
    assert!(answers.iter().all(|answer| answer.status == 303));
    assert_eq!(tickets(&app).len(), 2);
    assert_eq!(mails_to(&app, "claire@arnaud.example").len(), 1);
}

#[actix_web::test]
async fn x_02_the_same_form_with_other_words_says_that_it_was_sent_and_can_be_sent_again() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form::of(&app);
    form.send(&browser).await.assert_status(303);
    let changed = Form { text: "Autre chose.".to_owned(), ..form };
    let answer = changed.send(&browser).await;
    answer.assert_status(422).assert_says("déjà envoyé").assert_says("Autre chose.");
    let again = Form { key: hidden(&answer.text(), "key"), ..changed };
    again.send(&browser).await.assert_status(303);
    assert_eq!(tickets(&app).len(), 2);
}

#[actix_web::test]
async fn a5_a_card_number_in_a_form_is_not_kept() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form { text: "Ma carte : 4111 1111 1111 1111".to_owned(), ..Form::of(&app) };
    form.send(&browser).await.assert_status(303);
    let ticket = only_ticket(&app);
    let said = app.read(|db| messages::of_ticket(db, &ticket, Reading::Public, 10));
    assert!(!said[0].body_text.contains("4111 1111 1111"), "{}", said[0].body_text);
}

#[actix_web::test]
async fn what_a_stranger_files_in_a_member_s_name_no_colleague_sees() {
    let (app, cast) = TestApp::with_cast();
    let browser = app.browser().await;
    Form { email: "paul@arnaud.example".to_owned(), ..Form::of(&app) }.send(&browser).await.assert_status(303);
    let ticket = only_ticket(&app);
    assert!(ticket.is_private);
    let claire = app.signed_in(cast.claire).await;
    claire.get(&format!("/requests/{}", ticket.reference)).await.assert_status(404);
    let paul = app.signed_in(cast.paul).await;
    paul.get("/requests").await.assert_says(&ticket.reference);
}

#[actix_web::test]
async fn lp_02_b3_filing_is_confirmed_by_mail_with_a_link_and_so_is_each_answer() {
    let (app, cast) = TestApp::with_cast();
    let browser = app.browser().await;
    let form = Form::of(&app);
    form.send(&browser).await.assert_status(303);
    let ticket = only_ticket(&app);
    let first = mails_to(&app, &form.email);
    assert_eq!(first.len(), 1);
    assert!(first[0].text.contains(&ticket.reference) && !first[0].text.contains("export"), "{}", first[0].text);
    browser.get(&first[0].link()).await.assert_status(200).assert_says("L’export reste vide");
    super::reply(&app, &ticket, cast.lea, "Quel navigateur utilisez-vous ?");
    let answered = mails_to(&app, &form.email);
    assert_eq!(answered.len(), 1);
    assert!(answered[0].text.contains("Quel navigateur"));
    // Nothing a stranger typed goes to an address that nobody confirmed.
    assert!(!answered[0].raw.contains("export") && !answered[0].subject.contains("export"));
    browser.get(&answered[0].link()).await.assert_status(200).assert_says("Quel navigateur");
}

#[actix_web::test]
async fn the_form_is_in_both_languages_and_leads_those_who_are_signed_in_to_theirs() {
    let (app, cast) = TestApp::with_cast();
    let browser = app.browser().await;
    browser.get("/en/requests/new").await.assert_says("What happened").assert_says("lang=\"en\"");
    browser.get("/fr").await.assert_says("Assistance de Logiciels Garonne");
    browser.get("/en").await.assert_says("Support of Logiciels Garonne");
    assert_eq!(app.signed_in(cast.claire).await.get("/fr/requests/new").await.location(), "/requests/new");
    assert_eq!(app.signed_in(cast.lea).await.get("/fr/requests/new").await.location(), "/tickets/new");
    let sign_in = app.browser().await.get("/requests/new").await;
    assert!(sign_in.location().starts_with("/fr/sign-in?next="), "{}", sign_in.location());
}

#[actix_web::test]
async fn somebody_in_two_companies_says_for_which_one_they_ask() {
    let (app, cast) = TestApp::with_cast();
    let (claire, brun, now) = (cast.claire, cast.brun, app.now());
    app.write(move |db| {
        accord::people::memberships::add(db, claire, brun, accord::people::memberships::Rights::default(), None, now)
    });
    let browser = app.signed_in(claire).await;
    browser.get("/requests/new").await.assert_says("Vignobles Arnaud").assert_says("Ateliers Brun");
    let support = queue(&app, QueueKind::Support);
    let file = |organisation: String, key: &'static str| {
        let (browser, support) = (browser.clone(), support.clone());
        async move {
            let fields = [
                ("organisation", organisation.as_str()),
                ("queue", &support),
                ("visibility", "private"),
                ("subject", "Facture"),
                ("text", "Il en manque une."),
                ("key", key),
            ];
            browser.upload("/requests", &fields, &[]).await
        }
    };
    file(cast.brun_handle.clone(), "one").await.assert_status(303);
    let ticket = only_ticket(&app);
    assert_eq!(ticket.organisation_id, cast.brun);
    assert!(ticket.is_private && ticket.address_confirmed);
    let others = app.read(|db| Ok(organisation_of(db, cast.ivan)));
    file(others, "two").await.assert_status(422).assert_says("id=\"organisation-error\"");
}

fn organisation_of(db: &mut accord::db::DbConnection, person: PersonId) -> String {
    let home = accord::people::organisations::home_of(db, person).unwrap().unwrap();
    accord::people::organisations::by_id(db, home).unwrap().handle
}

#[actix_web::test]
async fn adv_24_a_form_with_fields_of_its_own_is_refused() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let support = queue(&app, QueueKind::Support);
    for extra in ["requester_id", "organisation_id", "status", "assignee_id", "address_confirmed", "id"] {
        let fields = [("queue", support.as_str()), ("subject", "x"), ("text", "x"), ("key", extra), (extra, "1")];
        claire.upload("/requests", &fields, &[]).await.assert_status(400);
    }
    assert!(tickets(&app).is_empty());
}

#[actix_web::test]
async fn a_form_of_another_site_files_nothing() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    let foreign = TestRequest::post()
        .uri("/fr/requests")
        .insert_header((header::ORIGIN, "https://evil.example"))
        .insert_header((header::CONTENT_TYPE, "multipart/form-data; boundary=x"))
        .set_payload("--x--\r\n");
    browser.send(foreign).await.assert_status(403);
    assert!(tickets(&app).is_empty());
}
