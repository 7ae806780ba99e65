//! People, organisations and environments by programs.

use accord::people::memberships::Rights;
use accord::people::roles::BuiltinRole;
use accord::teams::queues::QueueKind;
use serde_json::json;

use super::{code_of, json_of};
use crate::support::TestApp;
use crate::support::given::SEES_ALL;

#[actix_web::test]
async fn who_manages_people_registers_a_company_its_people_and_environments() {
    let test = TestApp::set_up();
    let hugo = test.given().staff("Hugo", &[BuiltinRole::Supervisor], &[QueueKind::Support]);
    let program = test.able_program(hugo).await;
    let company = json!({ "name": "Vignobles Arnaud", "status": "customer", "country": "FR", "city": "Bordeaux",
        "contract_started_on": "2026-01-01" });
    let company = json_of(program.post_once("/api/v1/organisations", "a", &company).await.assert_status(201));
    let handle = company["handle"].as_str().unwrap();
    assert_eq!(company["kind"], "company");
    assert_eq!(json_of(&program.get(&format!("/api/v1/organisations/{handle}")).await), company);
    let person = json!({ "first_name": "Claire", "last_name": "Arnaud", "address": "claire@arnaud.example",
        "organisation": handle, "manages_organisation": true });
    let person = json_of(program.post("/api/v1/people", &person).await.assert_status(201));
    let path = format!("/api/v1/people/{}", person["handle"].as_str().unwrap());
    assert_eq!(json_of(&program.get(&path).await), person);
    let members = json_of(&program.get(&format!("/api/v1/people?organisation={handle}")).await);
    assert_eq!(members["items"][0]["address"], "claire@arnaud.example");
    let everybody = json_of(&program.get("/api/v1/people?name=arn").await);
    assert_eq!(everybody["items"][0]["name"], "Claire Arnaud");
    let environments = format!("/api/v1/organisations/{handle}/environments");
    let environment = json!({ "name": "Production", "operating_system": "Debian 12",
        "products": [{ "name": "Facturo", "version": "4.2.1" }], "components": [{ "name": "PostgreSQL" }] });
    let environment = json_of(program.post(&environments, &environment).await.assert_status(201));
    assert_eq!(environment["products"], json!([{ "name": "Facturo", "version": "4.2.1" }]));
    let path = format!("{environments}/{}", environment["handle"].as_str().unwrap());
    assert_eq!(json_of(&program.get(&path).await), environment);
    assert_eq!(json_of(&program.get(&environments).await)["items"], json!([environment]));
    let found = json_of(&program.get("/api/v1/organisations?name=vign&status=customer&kind=company").await);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn what_is_wrong_is_said_by_field() {
    let test = TestApp::set_up();
    let hugo = test.given().staff("Hugo", &[BuiltinRole::Supervisor], &[QueueKind::Support]);
    let program = test.able_program(hugo).await;
    let fields = |answer: &crate::support::browser::Answered| -> Vec<String> {
        assert_eq!(code_of(answer, 422), "invalid");
        json_of(answer)["fields"].as_object().unwrap().keys().cloned().collect()
    };
    let company = json!({ "country": "XX", "vat_number": "nope", "language": "de", "telephone": "oui" });
    let wrong = program.post("/api/v1/organisations", &company).await;
    assert_eq!(fields(&wrong), ["country", "language", "name", "telephone", "vat_number"]);
    let wrong = program.post("/api/v1/people", &json!({ "address": "x", "organisation": "y" })).await;
    assert_eq!(fields(&wrong), ["address", "organisation"]);
    let taken = json!({ "last_name": "Martin", "address": "anne@garonne.example" });
    assert_eq!(fields(&program.post("/api/v1/people", &taken).await), ["address"]);
}

#[actix_web::test]
async fn a_03_customers_programs_see_their_own_organisation_only() {
    let test = TestApp::set_up();
    let given = test.given();
    let (atelier, other) = (given.organisation("Atelier Durand"), given.organisation("Autre SARL"));
    let manager = Rights { sees_all_tickets: true, manages_organisation: true, grants_tracing: false };
    let jean = given.member("Jean Dupont", atelier.id, manager);
    let lucie = given.member("Lucie Petit", atelier.id, SEES_ALL);
    let omar = given.member("Omar Benali", other.id, SEES_ALL);
    let program = test.able_program(lucie.id).await;
    let own = json_of(&program.get("/api/v1/organisations").await);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(own["items"][0]["name"], "Atelier Durand");
    program.get(&format!("/api/v1/people/{}", lucie.handle)).await.assert_status(200);
    program.get(&format!("/api/v1/people/{}", jean.handle)).await.assert_status(200);
    let unknown = program.get("/api/v1/people/nobody").await;
    assert_eq!(code_of(&unknown, 404), "not_found");
    for path in [
        format!("/api/v1/people/{}", omar.handle),
        format!("/api/v1/people?organisation={}", other.handle),
        format!("/api/v1/organisations/{}", other.handle),
        format!("/api/v1/organisations/{}/environments", other.handle),
    ] {
        assert_eq!(program.get(&path).await.bytes, unknown.bytes, "{path}");
    }
    assert_eq!(code_of(&program.get("/api/v1/people").await, 403), "forbidden");
    let environments = format!("/api/v1/organisations/{}/environments", atelier.handle);
    let environment = json!({ "name": "Production" });
    assert_eq!(code_of(&program.post(&environments, &environment).await, 403), "forbidden");
    test.able_program(jean.id).await.post(&environments, &environment).await.assert_status(201);
    for (path, body) in [
        ("/api/v1/organisations", json!({ "name": "Nouvelle" })),
        ("/api/v1/people", json!({ "last_name": "Nouveau", "address": "nouveau@client.example" })),
    ] {
        let program = test.able_program(jean.id).await;
        assert_eq!(code_of(&program.post(path, &body).await, 403), "forbidden", "{path}");
    }
}
