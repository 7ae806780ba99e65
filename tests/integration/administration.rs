//! The administrator's pages and an organisation's own, in the browser: who sees them, what they change, and what a
//! wrong form gets.

use accord::db::types::PersonId;
use accord::journal::unprocessed;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::people::memberships::Rights;
use accord::people::{environments, memberships, organisations, person, sites, staff};
use accord::teams::{members, queues};

use crate::support::TestApp;
use crate::support::desk::{Desk, Letter};

fn handle_of(app: &TestApp, person: PersonId) -> String {
    app.read(|db| person::by_id(db, person)).handle
}

#[actix_web::test]
async fn a_03_each_page_opens_for_whom_it_is_and_for_nobody_else() {
    let (app, cast) = TestApp::with_cast();
    let queue = app.read(queues::all).remove(0).handle;
    let role = app.read(accord::people::roles::all).remove(0).handle;
    let mailbox = app.read(accord::teams::mailboxes::default).handle;
    let claire = handle_of(&app, cast.claire);
    let (admin, supervisor) = ("admin", "supervisor");
    let pages: Vec<(String, Vec<&str>)> = vec![
        ("/admin/people".to_owned(), vec![admin, supervisor]),
        ("/admin/people/new".to_owned(), vec![admin, supervisor]),
        (format!("/admin/people/{claire}"), vec![admin, supervisor]),
        ("/admin/organisations".to_owned(), vec![admin, supervisor]),
        ("/admin/organisations/new".to_owned(), vec![admin, supervisor]),
        ("/admin/queues".to_owned(), vec![admin, supervisor]),
        ("/admin/queues/new".to_owned(), vec![admin, supervisor]),
        (format!("/admin/queues/{queue}"), vec![admin, supervisor]),
        ("/admin/mailboxes".to_owned(), vec![admin, supervisor]),
        ("/admin/mailboxes/new".to_owned(), vec![admin, supervisor]),
        (format!("/admin/mailboxes/{mailbox}"), vec![admin, supervisor]),
        ("/admin/roles".to_owned(), vec![admin]),
        ("/admin/roles/new".to_owned(), vec![admin]),
        (format!("/admin/roles/{role}"), vec![admin]),
        ("/admin/settings".to_owned(), vec![admin]),
        ("/admin/status".to_owned(), vec![admin]),
        ("/admin/ledger".to_owned(), vec![admin, "privacy"]),
        ("/admin/ledger/verification".to_owned(), vec![admin, "privacy"]),
    ];
    let readers = [
        (admin, cast.anne),
        (supervisor, cast.hugo),
        ("agent", cast.lea),
        ("privacy", cast.odile),
        ("customer", cast.claire),
    ];
    for (name, reader) in readers {
        let browser = app.signed_in(reader).await;
        for (path, allowed) in &pages {
            let status = browser.get(path).await.status.as_u16();
            // Customers are not told which pages staff has.
            let expected = match name {
                _ if allowed.contains(&name) => 200,
                "customer" => 404,
                _ => 403,
            };
            assert_eq!(status, expected, "{name} on {path}");
        }
    }
    let nobody = app.browser().await;
    for (path, _) in &pages {
        assert!(nobody.get(path).await.location().starts_with("/fr/sign-in?next="), "{path}");
    }
}

#[actix_web::test]
async fn a_02_an_organisation_s_pages_are_its_members_and_the_staff_s() {
    let (app, cast) = TestApp::with_cast();
    let paths =
        ["", "/sites", "/environments", "/members"].map(|rest| format!("/organisations/{}{rest}", cast.arnaud_handle));
    for (reader, status) in
        [(cast.claire, 200), (cast.paul, 200), (cast.hugo, 200), (cast.lea, 200), (cast.zoe, 404), (cast.odile, 404)]
    {
        let browser = app.signed_in(reader).await;
        for path in &paths {
            browser.get(path).await.assert_status(status);
        }
    }
    // Those who may read and not change are offered nothing to change.
    let paul = app.signed_in(cast.paul).await;
    for rest in ["/sites/new", "/environments/new", "/members/new"] {
        paul.get(&format!("/organisations/{}{rest}", cast.arnaud_handle)).await.assert_status(403);
    }
    paul.get(&paths[0]).await.assert_silent_about("<form class=\"form\"").assert_says("adressez-vous à un membre");
    assert_eq!(paul.get("/account/organisation").await.location(), format!("/organisations/{}", cast.arnaud_handle));
}

#[actix_web::test]
async fn adv_25_a_member_changes_nothing_beside_their_rights() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud) = (app.now(), cast.arnaud);
    let site = app.write(move |db| {
        let description = sites::SiteDescription {
            name: "Chai".to_owned(),
            person_in_charge: "Luc".to_owned(),
            telephone: "05 56 00 00 00".to_owned(),
            address: String::new(),
        };
        sites::create(db, arnaud, &description, now)
    });
    let environment = app.write(move |db| {
        let description = environments::EnvironmentDescription { name: "Production".to_owned(), ..Default::default() };
        environments::create(db, arnaud, &description, now)
    });
    let own = format!("/organisations/{}", cast.arnaud_handle);
    let member = format!("{own}/members/{}", handle_of(&app, cast.paul));
    let information = [
        ("version", "1"),
        ("name", "Pris"),
        ("address_lines", ""),
        ("postal_code", ""),
        ("city", ""),
        ("country", ""),
        ("vat_number", ""),
        ("telephone", ""),
        ("language", "fr"),
    ];
    let site_form = [("name", "x"), ("person_in_charge", "x"), ("telephone", "123"), ("address", "")];
    let environment_form =
        [("name", "x"), ("operating_system", ""), ("products", ""), ("components", ""), ("remarks", "")];
    let contract = [("version", "1"), ("status", "former"), ("contract_started_on", ""), ("contract_ended_on", "")];
    let invitation = [("first_name", ""), ("last_name", "x"), ("address", "x@y.example")];
    let everything = [("sees_all_tickets", "true"), ("manages_organisation", "true"), ("grants_tracing", "true")];
    let changes: Vec<(String, &[(&str, &str)])> = vec![
        (own.clone(), &information),
        (format!("{own}/contract"), &contract),
        (format!("{own}/sites"), &site_form),
        (format!("{own}/sites/{}", site.handle), &site_form),
        (format!("{own}/sites/{}/removal", site.handle), &[]),
        (format!("{own}/environments"), &environment_form),
        (format!("{own}/environments/{environment}"), &environment_form),
        (format!("{own}/environments/{environment}/removal"), &[]),
        (format!("{own}/members"), &invitation),
        (member.clone(), &everything),
        (format!("{member}/contact"), &[]),
        (format!("{member}/removal"), &[]),
    ];
    let picture = |app: &TestApp| {
        app.read(|db| {
            Ok(format!(
                "{:?} {:?} {:?} {:?}",
                organisations::by_id(db, arnaud)?,
                sites::of_organisation(db, arnaud)?,
                environments::of_organisation(db, arnaud)?,
                memberships::members(db, arnaud, None, 50)?,
            ))
        })
    };
    let before = picture(&app);
    // A colleague without rights, somebody of another company, an agent.
    for (reader, status) in [(cast.paul, 403), (cast.zoe, 404), (cast.lea, 403)] {
        let browser = app.signed_in(reader).await;
        for (path, form) in &changes {
            browser.post(path, form).await.assert_status(status);
        }
    }
    assert_eq!(picture(&app), before);
    // The manager decides nothing about the contract, and reaches nothing of hers through another's address.
    let claire = app.signed_in(cast.claire).await;
    claire.post(&format!("{own}/contract"), &contract).await.assert_status(403);
    let zoe = app.signed_in(cast.zoe).await;
    let across = format!("/organisations/{}/sites/{}", cast.brun_handle, site.handle);
    zoe.get(&across).await.assert_status(404);
    zoe.post(&across, &site_form).await.assert_status(404);
    assert_eq!(picture(&app), before);
}

#[actix_web::test]
async fn a5_the_manager_sees_and_changes_the_organisation_s_data() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let own = format!("/organisations/{}", cast.arnaud_handle);
    let mut form = vec![
        ("version", "1"),
        ("name", "Vignobles Arnaud & Fils"),
        ("address_lines", "12, quai des Chartrons"),
        ("postal_code", "33000"),
        ("city", "Bordeaux"),
        ("country", "FR"),
        ("vat_number", "FR 40 303 265 046"),
        ("telephone", "05 56 00 00 00"),
        ("language", "fr"),
        ("declines_reference", "true"),
    ];
    // Wrong: 422, the form filled in, the message beside its field.
    let answer = claire.post(&own, &form).await;
    answer
        .assert_status(422)
        .assert_says("value=\"Vignobles Arnaud &#38; Fils\"")
        .assert_says("Ce n’est pas un numéro de TVA intracommunautaire")
        .assert_says("aria-describedby=\"vat_number-error");
    form[6] = ("vat_number", "FR 40 303 265 045");
    assert_eq!(claire.post(&own, &form).await.location(), format!("{own}?said=said-saved"));
    claire
        .get(&format!("{own}?said=said-saved"))
        .await
        .assert_says("C’est enregistré.")
        .assert_says("FR40303265045")
        .assert_says("value=\"FR\" selected");
    // Again from the same page: somebody changed it meanwhile, and that was she herself.
    claire.post(&own, &form).await.assert_status(409).assert_says("entre-temps");
    // Fields that are none of hers are refused whole.
    form.push(("status", "former"));
    claire.post(&own, &form).await.assert_status(400);
}

#[actix_web::test]
async fn e2_the_manager_keeps_sites_and_environments() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let own = format!("/organisations/{}", cast.arnaud_handle);
    claire.get(&format!("{own}/sites")).await.assert_says("Aucun site");
    claire
        .post(
            &format!("{own}/sites"),
            &[("name", "Chai"), ("person_in_charge", ""), ("telephone", ""), ("address", "")],
        )
        .await
        .assert_status(422)
        .assert_says("value=\"Chai\"")
        .assert_says("Ce champ est obligatoire.");
    let form = [
        ("name", "Chai <b>"),
        ("person_in_charge", "Luc Morel"),
        ("telephone", "05 56 00 00 00"),
        ("address", "Pauillac"),
    ];
    claire.post(&format!("{own}/sites"), &form).await.assert_status(303);
    let site = app.read(|db| sites::of_organisation(db, cast.arnaud)).remove(0);
    claire
        .get(&format!("{own}/sites"))
        .await
        .assert_says("Chai &#60;b&#62;")
        .assert_says("Luc Morel")
        .assert_says(&format!("{own}/sites/{}", site.handle));

    let environment = [
        ("name", "Production"),
        ("site", site.handle.as_str()),
        ("operating_system", "Debian 13"),
        ("products", "Facturo ; 4.2.1\r\nFacturo Mobile ; 2.0"),
        ("components", "PostgreSQL ; 17.2"),
        ("remarks", ""),
    ];
    claire.post(&format!("{own}/environments"), &environment).await.assert_status(303);
    let page = claire.get(&format!("{own}/environments")).await;
    for text in ["Production", "Debian 13", "Facturo Mobile", "17.2", "Chai &#60;b&#62;"] {
        page.assert_says(text);
    }
    claire
        .post(&format!("{own}/sites/{}/removal", site.handle), &[])
        .await
        .assert_status(409)
        .assert_says("ne peut pas être supprimé");
}

#[actix_web::test]
async fn a_member_is_invited_and_their_rights_are_changed() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let own = format!("/organisations/{}/members", cast.arnaud_handle);
    claire
        .post(&own, &[("first_name", ""), ("last_name", ""), ("address", "nope")])
        .await
        .assert_status(422)
        .assert_says("Ce n’est pas une adresse électronique.");
    let form = [
        ("first_name", "Nina"),
        ("last_name", "Faye"),
        ("address", "nina@arnaud.example"),
        ("sees_all_tickets", "true"),
    ];
    assert_eq!(claire.post(&own, &form).await.location(), format!("{own}?said=said-invited"));
    let count = app.read(|db| memberships::members(db, cast.arnaud, None, 50)).rows.len();
    assert_eq!(count, 2, "nobody is a member before they accept");

    let paul = format!("{own}/{}", handle_of(&app, cast.paul));
    claire.get(&paul).await.assert_says("Paul Girard").assert_says("En faire le contact");
    claire.post(&paul, &[("manages_organisation", "true")]).await.assert_status(303);
    let member = app.read(|db| memberships::find_member(db, cast.arnaud, &handle_of(&app, cast.paul))).unwrap();
    assert_eq!(member.rights(), Rights { manages_organisation: true, ..Rights::default() });
    claire.post(&format!("{paul}/contact"), &[]).await.assert_status(303);

    // She leaves; the list is not hers to see any more.
    let herself = format!("{own}/{}", handle_of(&app, cast.claire));
    let left = claire.post(&format!("{herself}/removal"), &[]).await;
    assert_eq!(left.location(), "/account?said=said-member-removed");
    claire.get(&own).await.assert_status(404);
    // The last manager stays while others are there.
    app.write({
        let (now, zoe, arnaud) = (app.now(), cast.zoe, cast.arnaud);
        move |db| memberships::add(db, zoe, arnaud, Rights::default(), None, now)
    });
    let manager = app.signed_in(cast.paul).await;
    manager.post(&paul, &[]).await.assert_status(409).assert_says("plus personne pour la gérer");
}

#[actix_web::test]
async fn e1_a_company_is_registered_with_its_contact_and_not_without() {
    let (app, cast) = TestApp::with_cast();
    let hugo = app.signed_in(cast.hugo).await;
    let page = hugo.get("/admin/organisations/new").await;
    for label in ["Nom", "Prénom", "Adresse électronique", "Téléphone"] {
        page.assert_says(&format!("{label}<span class=\"star\" aria-hidden=\"true\"> *</span>"));
    }
    let mut form = vec![
        ("name", "Scierie Colin"),
        ("address_lines", ""),
        ("postal_code", ""),
        ("city", "Épinal"),
        ("country", "FR"),
        ("vat_number", ""),
        ("telephone", ""),
        ("language", "fr"),
        ("status", "prospect"),
        ("contract_started_on", ""),
        ("contract_ended_on", ""),
        ("contact_first_name", "Rose"),
        ("contact_last_name", "Colin"),
        ("contact_address", "rose@colin.example"),
        ("contact_telephone", "03 29 00 00 00"),
        ("send_invitation", "true"),
    ];
    for missing in ["name", "contact_first_name", "contact_last_name", "contact_address", "contact_telephone"] {
        let form: Vec<_> = form.iter().map(|&(name, value)| (name, if name == missing { "" } else { value })).collect();
        hugo.post("/admin/organisations", &form)
            .await
            .assert_status(422)
            .assert_says(&format!("id=\"{missing}-error\""))
            .assert_says("Ce champ est obligatoire.")
            .assert_says("Épinal");
    }
    assert!(hugo.post("/admin/organisations", &form).await.location().starts_with("/organisations/"));
    let found = app.read(|db| {
        let filter = organisations::Filter { name: "scierie".to_owned(), ..Default::default() };
        organisations::list(db, &filter, None, 5)
    });
    let contact = app.read(|db| memberships::find_contact(db, found.rows[0].id)).unwrap();
    assert_eq!((contact.display_name().as_str(), contact.manages_organisation), ("Rose Colin", true));
    // The same contact again: somebody has this address already, and no second company is left behind.
    form[0] = ("name", "Scierie Colin 2");
    hugo.post("/admin/organisations", &form).await.assert_status(422).assert_says("contact_address-error");
    hugo.get("/admin/organisations?q=scierie")
        .await
        .assert_says("Scierie Colin")
        .assert_silent_about("Scierie Colin 2");
}

#[actix_web::test]
async fn adv_23_filters_and_places_that_do_not_exist_are_refused() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    for path in [
        "/admin/organisations?status=customer%27%20OR%201=1",
        "/admin/organisations?kind=x",
        "/admin/people?state=x",
        "/admin/people?group=admins",
        "/admin/ledger?before=1",
    ] {
        anne.get(path).await.assert_status(400);
    }
    for path in ["/admin/organisations?after=1", "/admin/people?after=x%27"] {
        anne.get(path).await.assert_status(404);
    }
    anne.get("/admin/people?q=%25").await.assert_status(200).assert_says("Rien ne correspond");
    anne.get("/admin/people?q=lefe&group=customers&state=active").await.assert_says("Claire Lefèvre");
}

#[actix_web::test]
async fn who_manages_customers_cannot_take_the_place_of_staff() {
    let (app, cast) = TestApp::with_cast();
    let hugo = app.signed_in(cast.hugo).await;
    let anne = format!("/admin/people/{}", handle_of(&app, cast.anne));
    hugo.get(&anne).await.assert_says("Anne Martin").assert_says("se règle avec le droit de gérer les rôles");
    for (rest, form) in [
        ("/address", vec![("address", "hugo+anne@garonne.example")]),
        ("/invitation", vec![]),
        ("/sessions/removal", vec![]),
        ("/state", vec![("state", "disabled")]),
        ("/roles", vec![]),
    ] {
        hugo.post(&format!("{anne}{rest}"), &form).await.assert_status(403);
    }
    // Nobody gives themselves a role by managing people.
    let himself = format!("/admin/people/{}/roles", handle_of(&app, cast.hugo));
    let administrator = app.read(accord::people::roles::all);
    let administrator = administrator.iter().find(|role| role.name == "administrator").unwrap().handle.clone();
    hugo.post(&himself, &[("roles", administrator.as_str())]).await.assert_status(403);

    let claire = format!("/admin/people/{}", handle_of(&app, cast.claire));
    hugo.post(&format!("{claire}/state"), &[("state", "disabled")]).await.assert_status(303);
    hugo.get(&claire).await.assert_says("Réactiver");
}

#[actix_web::test]
async fn the_last_administrator_stays() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let herself = format!("/admin/people/{}", handle_of(&app, cast.anne));
    anne.post(&format!("{herself}/roles"), &[]).await.assert_status(409);
    anne.post(&format!("{herself}/state"), &[("state", "disabled")]).await.assert_status(409);
    let role = app.read(accord::people::roles::all);
    let role = role.iter().find(|role| role.name == "administrator").unwrap().handle.clone();
    anne.post(&format!("/admin/roles/{role}"), &[("permissions", "manage_queues")]).await.assert_status(409);
    assert!(app.read(staff::has_administrator));
}

#[actix_web::test]
async fn a_person_is_added_by_hand_with_their_organisation() {
    let (app, cast) = TestApp::with_cast();
    let hugo = app.signed_in(cast.hugo).await;
    hugo.get(&format!("/admin/people/new?organisation={}", cast.brun_handle)).await.assert_says("Ateliers Brun");
    let mut form = vec![
        ("first_name", "Yann"),
        ("last_name", "Le Goff"),
        ("address", "zoe@brun.example"),
        ("telephone", ""),
        ("job_title", "Chef d’atelier"),
        ("language", "fr"),
        ("organisation", cast.brun_handle.as_str()),
        ("sees_all_tickets", "true"),
        ("send_invitation", "true"),
    ];
    hugo.post("/admin/people", &form).await.assert_status(422).assert_says("Yann").assert_says("address-error");
    form[2] = ("address", "yann@brun.example");
    let there = hugo.post("/admin/people", &form).await;
    let path = there.location().split('?').next().unwrap().to_owned();
    hugo.get(&path)
        .await
        .assert_says("Yann Le Goff")
        .assert_says("Saisie par l’exploitant")
        .assert_says("Ateliers Brun");
    let profile = [
        ("version", "1"),
        ("first_name", "Yann"),
        ("last_name", "Le Goff"),
        ("job_title", "4111 1111 1111 1111"),
        ("telephone", ""),
        ("language", "en"),
        ("time_zone", "Europe/Paris"),
    ];
    hugo.post(&path, &profile).await.assert_status(422).assert_says("numéro de carte");
}

#[actix_web::test]
async fn queues_mailboxes_roles_and_settings_are_kept() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let form = [("kind", "support"), ("name_fr", "Niveau 2"), ("name_en", "")];
    anne.post("/admin/queues", &form).await.assert_status(422).assert_says("value=\"Niveau 2\"");
    let form = [("kind", "support"), ("name_fr", "Niveau 2"), ("name_en", "Second line"), ("on_form", "true")];
    let there = anne.post("/admin/queues", &form).await;
    let path = there.location().split('?').next().unwrap().to_owned();
    let (marc, lea) = (handle_of(&app, cast.marc), handle_of(&app, cast.lea));
    let chosen = [("members", marc.as_str()), ("members", lea.as_str())];
    anne.post(&format!("{path}/members"), &chosen).await.assert_status(303);
    let queue = app.read(|db| queues::find_by_handle(db, path.rsplit('/').next().unwrap())).unwrap();
    let names: Vec<_> = app.read(|db| members::of_queue(db, queue.id)).into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["Marc Faure", "Léa Roux"]);
    let claire = handle_of(&app, cast.claire);
    anne.post(&format!("{path}/members"), &[("members", claire.as_str())]).await.assert_status(404);
    anne.post(&format!("{path}/earlier"), &[]).await.assert_status(303);

    let mut form = vec![
        ("address", "claire@arnaud.example"),
        ("display_name", "Niveau 2"),
        ("queue", queue.handle.as_str()),
        ("language", "fr"),
        ("acknowledges", "true"),
        ("closed_tickets", "follow_up"),
    ];
    anne.post("/admin/mailboxes", &form).await.assert_status(422).assert_says("celle d’une personne");
    form[0] = ("address", "n2@garonne.example");
    anne.post("/admin/mailboxes", &form).await.assert_status(303);
    anne.get("/admin/mailboxes").await.assert_says("n2@garonne.example").assert_says("Niveau 2");

    anne.post("/admin/roles", &[("name", ""), ("permissions", "read_ledger")]).await.assert_status(422);
    anne.post("/admin/roles", &[("name", "Auditeur"), ("permissions", "read_ledger")]).await.assert_status(303);
    anne.post("/admin/roles", &[("name", "x"), ("permissions", "everything")]).await.assert_status(400);
    anne.get("/admin/roles").await.assert_says("Auditeur").assert_says("Lire le journal des preuves");

    anne.post("/admin/settings", &[("name", ""), ("reference_prefix", "GAR")]).await.assert_status(422);
    anne.post("/admin/settings", &[("name", "Garonne"), ("reference_prefix", "GAR")]).await.assert_status(303);
    anne.get("/admin/settings").await.assert_says("value=\"GAR\"").assert_says("reply.desk.example");
}

#[actix_web::test]
async fn cn_06_staff_are_not_offered_to_give_the_right_to_grant_tracing_and_cannot() {
    let (app, cast) = TestApp::with_cast();
    let hugo = app.signed_in(cast.hugo).await;
    let members = format!("/organisations/{}/members", cast.arnaud_handle);
    let paul = format!("{members}/{}", handle_of(&app, cast.paul));
    let claire = format!("{members}/{}", handle_of(&app, cast.claire));
    let (box_of_right, person_new) =
        ("name=\"grants_tracing\"", format!("/admin/people/new?organisation={}", cast.arnaud_handle));
    for page in [&paul, &format!("{members}/new"), &person_new] {
        hugo.get(page)
            .await
            .assert_status(200)
            .assert_says("qui demande un accord ne choisit pas")
            .assert_silent_about(box_of_right);
    }
    hugo.get(&claire).await.assert_says(box_of_right);
    let right = ("grants_tracing", "true");
    hugo.post(&paul, &[right]).await.assert_status(409).assert_says("de l’intérieur");
    let invitation = [("first_name", ""), ("last_name", "Noir"), ("address", "luc@arnaud.example"), right];
    hugo.post(&members, &invitation).await.assert_status(422).assert_says("de l’intérieur");
    let person = [
        ("first_name", ""),
        ("last_name", "Noir"),
        ("address", "luc@arnaud.example"),
        ("telephone", ""),
        ("job_title", ""),
        ("language", "fr"),
        ("organisation", &cast.arnaud_handle),
        right,
    ];
    hugo.post("/admin/people", &person).await.assert_status(409).assert_says("de l’intérieur");

    let manager = app.signed_in(cast.claire).await;
    manager.get(&paul).await.assert_says(box_of_right);
    manager.post(&paul, &[right]).await.assert_status(303);
}

#[actix_web::test]
async fn staff_change_somebody_s_profile_but_not_how_pages_look_to_them() {
    let (app, cast) = TestApp::with_cast();
    let hugo = app.signed_in(cast.hugo).await;
    let paul = format!("/admin/people/{}", handle_of(&app, cast.paul));
    let form = |time_zone| {
        vec![
            ("version", "1"),
            ("first_name", "Paul"),
            ("last_name", "Girard"),
            ("job_title", "Maître de chai"),
            ("telephone", ""),
            ("language", "en"),
            ("time_zone", time_zone),
        ]
    };
    for own in [("theme", "dark"), ("mailed_about_tickets", "true")] {
        let fields: Vec<_> = form("Europe/Paris").into_iter().chain([own]).collect();
        hugo.post(&paul, &fields).await.assert_status(400);
    }
    hugo.post(&paul, &form("Europe/Nowhere")).await.assert_status(422).assert_says("Maître de chai");
    let before = app.read(|db| person::by_id(db, cast.paul));
    hugo.post(&paul, &form("Europe/Lisbon")).await.assert_status(303);
    let after = app.read(|db| person::by_id(db, cast.paul));
    assert_eq!((after.job_title.as_str(), after.time_zone.as_str()), ("Maître de chai", "Europe/Lisbon"));
    assert_eq!((after.theme, after.mailed_about_tickets), (before.theme, before.mailed_about_tickets));
    hugo.get(&paul).await.assert_says("<option value=\"Europe/Lisbon\" selected");
}

#[actix_web::test]
async fn the_status_page_says_what_wants_attention() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/status").await.assert_says("la chaîne est entière").assert_says("répond").assert_says("libres");
    let never = if app.app.database.url().is_sqlite() { "Aucune sauvegarde" } else { "aux outils de PostgreSQL" };
    anne.get("/admin/status").await.assert_says(never).assert_says("Les courriels ne partent pas");
    accord::backup::last::note(&app.app.config, app.now()).unwrap();
    app.clock.advance(chrono::TimeDelta::hours(3));
    anne.get("/admin/status").await.assert_says("Dernière sauvegarde il y a 3 heures");
    let now = app.now();
    app.write(move |db| {
        accord::queue::enqueue(db, "no_such_work", &(), now, now)?;
        for id in accord::queue::due(db, now)? {
            if let Some(mut job) = accord::queue::claim(db, id, "test", now)?
                && job.name == "no_such_work"
            {
                job.attempts = accord::queue::ATTEMPTS;
                accord::queue::fail(db, &job, "test", accord::queue::ATTEMPTS, "nobody does this", now)?;
            }
        }
        Ok(())
    });
    anne.get("/admin/status")
        .await
        .assert_says("no_such_work")
        .assert_says("nobody does this")
        .assert_says("à corriger");
    anne.post("/admin/status/jobs", &[]).await.assert_status(303);
    assert_eq!(app.read(accord::queue::counts).1, 0);
}

#[actix_web::test]
async fn out_08_the_set_up_of_mail_is_looked_up_when_asked_and_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("zone");
    std::fs::write(&zone, "_dmarc.garonne.example. IN TXT \"v=DMARC1; p=reject\"\n").unwrap();
    let (app, cast) = TestApp::cast_with_settings(&format!("[mail]\ndns_records = {zone:?}\ncheck_senders = false"));
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/status").await.assert_says("/admin/status/mail");
    let before = anne.get("/admin/status/mail").await;
    before.assert_status(200).assert_says("Consulter maintenant");
    assert!(!before.text().contains("DMARC"), "nothing is looked up before somebody asks");
    let found = anne.post("/admin/status/mail", &[]).await;
    found.assert_status(200).assert_says("v=DMARC1; p=reject").assert_says("Aucun enregistrement n’est publié");
    for (tone, word) in [("tone-done", "en ordre"), ("tone-act", "à examiner"), ("tone-late", "à corriger")] {
        found.assert_says(tone).assert_says(word);
    }
}

#[actix_web::test]
async fn the_ledger_names_who_did_what_and_shows_no_internal_number() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let page = anne.get("/admin/ledger").await;
    page.assert_says("Membre ajouté").assert_says("Vignobles Arnaud").assert_says("Anne Martin");
    anne.get("/admin/ledger/verification").await.assert_says("la chaîne est entière");
    let next = page.text();
    let next = next.split("href=\"/admin/ledger?before=").nth(1).expect("there are more").split('"').next().unwrap();
    anne.get(&format!("/admin/ledger?before={next}")).await.assert_status(200).assert_says("Rôles changés");
}

#[actix_web::test]
async fn j_04_held_mail_is_decided_by_who_works_in_its_queue_and_read_by_nobody_else() {
    let desk = Desk::open();
    let letter = || Letter::from("Claire <claire@acme.example>").authenticated("fail");
    for text in ["Premier secret", "Deuxième secret 4111 1111 1111 1111", "Troisième secret"] {
        desk.receive(&letter().text(text));
    }
    let mut waiting = desk.test.read(|db| unprocessed::list(db, None, 10)).rows;
    waiting.reverse();
    let path = |index: usize| format!("/admin/unprocessed-mail/{}", waiting[index].handle);
    let nothing: &[(&str, &str)] = &[];

    // An agent of another queue does not learn of it.
    let yves = desk.test.signed_in(desk.yves).await;
    yves.get("/admin/unprocessed-mail").await.assert_says("Tout le courrier est traité");
    yves.get(&path(0)).await.assert_status(404);
    yves.post(&format!("{}/ticket", path(0)), nothing).await.assert_status(404);

    let zoe = desk.test.signed_in(desk.zoe).await;
    zoe.get("/admin/unprocessed-mail").await.assert_says("claire@acme.example").assert_says("L’authentification");
    zoe.get(&path(0)).await.assert_says("Premier secret").assert_says("Écran noir");
    // A card number is not shown either (A5).
    zoe.get(&path(1)).await.assert_says("1111").assert_silent_about("4111 1111");
    let original = zoe.get(&format!("{}/original", path(0))).await;
    assert_eq!(original.header("content-type"), Some("application/octet-stream"));
    original.assert_says("Subject: Écran noir");

    // A ticket of its own; a message of that ticket; nothing.
    let there = zoe.post(&format!("{}/ticket", path(0)), nothing).await;
    let ticket = desk.ticket();
    assert_eq!(there.location(), format!("/tickets/{}", ticket.reference));
    zoe.post(&format!("{}/ticket", path(0)), nothing).await.assert_status(409);
    zoe.post(&format!("{}/message", path(1)), &[("reference", "ACC-NONSENSE")])
        .await
        .assert_status(422)
        .assert_says("value=\"ACC-NONSENSE\"");
    let reference = ticket.reference.to_string();
    zoe.post(&format!("{}/message", path(1)), &[("reference", reference.as_str())]).await.assert_status(303);
    assert_eq!(desk.messages(&ticket).len(), 2);
    zoe.post(&format!("{}/rejection", path(2)), nothing).await.assert_status(303);
    zoe.get("/admin/unprocessed-mail").await.assert_says("Tout le courrier est traité");
}

#[actix_web::test]
async fn a4_who_operates_sees_that_mail_waits_and_not_what_it_says() {
    let (app, cast) = TestApp::with_cast();
    let now = app.now();
    app.write(move |db| {
        let mailbox = accord::teams::mailboxes::default(db)?;
        let recipient = accord::journal::Recipient { mailbox: mailbox.id, address: mailbox.address };
        let raw = b"From: claire@arnaud.example\r\nSubject: Secret\r\n\r\nbien garde\r\n".to_vec();
        let mail = accord::journal::NewMail::new(
            vec![recipient],
            "claire@arnaud.example".to_owned(),
            accord::journal::Way::Lmtp,
            raw,
        );
        accord::journal::accept(db, &mail, now)?;
        let id = accord::journal::claiming::due(db, now)?[0];
        accord::journal::claiming::claim(db, id, "test", now)?;
        let delivery = accord::journal::claiming::load(db, id)?;
        let outcome = accord::journal::Outcome {
            state: accord::journal::State::Failed,
            record: accord::journal::Record::default(),
            organisation: None,
            ticket: None,
            content_sha256: None,
            mail_id: None,
            original_hash: None,
        };
        accord::journal::outcome::finish(db, &delivery, "test", &outcome, now)
    });
    let handle = app.read(|db| unprocessed::list(db, None, 10)).rows.remove(0).handle;
    let path = format!("/admin/unprocessed-mail/{handle}");
    // Anne supervises too, but has not accepted the undertaking.
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/unprocessed-mail").await.assert_says("claire@arnaud.example");
    anne.get(&path).await.assert_says("réservé à ceux").assert_silent_about("bien garde").assert_silent_about("Secret");
    for rest in ["/original"] {
        anne.get(&format!("{path}{rest}")).await.assert_status(403);
    }
    for rest in ["/ticket", "/rejection"] {
        anne.post(&format!("{path}{rest}"), &[]).await.assert_status(403);
    }
    anne.post(&format!("{path}/reprocessing"), &[]).await.assert_status(303);
    app.run_jobs();
    anne.get("/admin/unprocessed-mail").await.assert_says("Tout le courrier est traité");
    let odile = app.signed_in(cast.odile).await;
    odile.get("/admin/unprocessed-mail").await.assert_status(403);
}

#[actix_web::test]
async fn o_06_failed_mail_is_listed_and_sent_again() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer_quietly(&desk.ticket(), "Redémarrez-le.", accord::tickets::status::Status::WaitingForCustomer);
    desk.memory().fail_next(SendFailure {
        kind: FailureKind::Permanent,
        code: Some(550),
        text: "no such user".to_owned(),
    });
    desk.test.run_jobs();
    let anne = desk.test.signed_in(desk.administrator).await;
    anne.get("/admin/outgoing-mail").await.assert_says("claire@acme.example").assert_says("Renvoyer");
    let ticket = desk.ticket();
    let mail = desk.test.read(|db| accord::outbox::listing::of_ticket(db, ticket.id)).pop().unwrap();
    let again = format!("/admin/outgoing-mail/{}/sending", mail.handle);
    anne.post(&again, &[]).await.assert_status(303);
    desk.test.run_jobs();
    anne.get("/admin/outgoing-mail?which=sent").await.assert_says("claire@acme.example");
    anne.post(&again, &[]).await.assert_status(409);
    anne.get("/admin/outgoing-mail?which=all").await.assert_status(400);
    let zoe = desk.test.signed_in(desk.zoe).await;
    zoe.get("/admin/outgoing-mail").await.assert_status(403);
    zoe.post(&again, &[]).await.assert_status(403);
}

#[actix_web::test]
async fn the_operator_is_nobody_s_customer_in_the_list_and_on_its_page() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let list = anne.get("/admin/organisations").await.text();
    let row = list.split("<tr data-row>").skip(1).find(|row| row.contains("Logiciels Garonne")).expect("a row");
    assert!(row.contains("Notre société") && !row.contains(">Client<"), "{row}");
    let customers = anne.get("/admin/organisations?status=customer").await;
    customers.assert_says("Vignobles Arnaud");
    assert!(!customers.text().split("<tbody").nth(1).unwrap().contains("Logiciels Garonne"));
    let operator = app.read(organisations::find_operator).unwrap();
    let handle = app.read(|db| organisations::by_id(db, operator)).handle;
    let page = anne.get(&format!("/organisations/{handle}")).await;
    page.assert_status(200).assert_says("Notre société").assert_silent_about("/contract\"");
}

/// TH-05: what arrives at the reply domain arrives at Accord only, so nobody of the staff is reached there.
#[actix_web::test]
async fn th_05_a_reply_domain_that_staff_is_reached_at_is_pointed_out() {
    let (app, cast) = TestApp::cast_with_settings("[mail]\nreply_domain = \"garonne.example\"\n");
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/mailboxes").await.assert_says("comme reponse.garonne.example");
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/mailboxes").await.assert_silent_about("est aussi celui d’adresses de votre équipe");
}
