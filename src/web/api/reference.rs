//! The interface as a page to browse, made from its description: how to begin, every request with its fields, the values
//! that fields take, and what failures are called.

use actix_web::web::Data;
use askama::Template;
use serde_json::Value;

use crate::app::App;
use crate::i18n::Texts;
use crate::people::api_tokens::Scope;
use crate::teams::queues::QueueKind;
use crate::tickets::messages::{Channel, MessageKind};
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;
use crate::web::api::{errors, openapi};
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Visitor;

/// Requests in the order in which somebody needs them.
const GROUPS: [&str; 7] = ["token", "tickets", "messages", "people", "organisations", "environments", "tracing"];
/// How deep the fields of a body are followed.
const DEEPEST: usize = 3;

#[derive(Template)]
#[template(path = "api/reference.html")]
struct ReferencePage {
    p: Page,
    base_url: String,
    scopes: Vec<&'static str>,
    groups: Vec<Group>,
    values: Vec<(&'static str, Vec<&'static str>)>,
    failures: Vec<(u16, &'static str, String)>,
}

struct Group {
    id: &'static str,
    title: String,
    operations: Vec<Operation>,
}

/// One request.
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    scope: Option<String>,
    parameters: Vec<Field>,
    sent: Vec<Field>,
    answered: Vec<Field>,
    statuses: String,
}

/// A parameter, or a field of a body by its path in it.
struct Field {
    name: String,
    kind: String,
    is_mandatory: bool,
}

/// `GET /{lang}/api`
pub async fn show(app: Data<App>, visitor: Visitor) -> PageResult {
    let p = visitor.page(&app, "api-title", Place::Nowhere);
    let description = serde_json::to_value(openapi::description()).unwrap_or_default();
    let groups = GROUPS.into_iter().map(|id| Group {
        id,
        title: p.t.say(&format!("api-group-{id}")),
        operations: operations(&p.t, &description, id),
    });
    let names = |all: &[&'static str]| all.to_vec();
    let values = vec![
        ("status", Status::ALL.iter().map(|value| value.as_str()).collect()),
        ("priority", Priority::ALL.iter().map(|value| value.as_str()).collect()),
        ("channel", Channel::ALL.iter().map(|value| value.as_str()).collect()),
        ("kind", MessageKind::ALL.iter().map(|value| value.as_str()).collect()),
        ("queue.kind", QueueKind::ALL.iter().map(|value| value.as_str()).collect()),
        ("language", names(&["fr", "en"])),
    ];
    let failures = errors::codes().into_iter().map(|(code, status, key)| (status, code, p.t.say(key))).collect();
    respond::page(&ReferencePage {
        base_url: app.config.http.base_url.clone(),
        scopes: Scope::ALL.iter().map(|scope| scope.as_str()).collect(),
        groups: groups.collect(),
        values,
        failures,
        p,
    })
}

fn operations(t: &Texts, description: &Value, group: &str) -> Vec<Operation> {
    let mut found = Vec::new();
    let Some(paths) = description["paths"].as_object() else { return found };
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            if operation["tags"][0] == group {
                found.push(read_operation(t, description, path, method, operation));
            }
        }
    }
    found
}

fn read_operation(t: &Texts, description: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| Field {
        name: parameter["name"].as_str().unwrap_or_default().to_owned(),
        kind: kind(&parameter["schema"]),
        is_mandatory: parameter["required"] == true,
    });
    let responses = operation["responses"].as_object();
    let good = responses.and_then(|responses| responses.iter().find(|(status, _)| status.starts_with('2')));
    let statuses: Vec<&str> = responses.into_iter().flatten().map(|(status, _)| status.as_str()).collect();
    let body = |of: &Value| {
        let mut fields = Vec::new();
        collect(description, &of["content"]["application/json"]["schema"], "", 0, &mut fields);
        fields
    };
    Operation {
        summary: t.say(&format!("api-op-{id}")),
        method: method.to_uppercase(),
        path: path.to_owned(),
        scope: operation["security"][0]["token"][0].as_str().map(str::to_owned),
        parameters: parameters.collect(),
        sent: body(&operation["requestBody"]),
        answered: good.map_or_else(Vec::new, |(_, response)| body(response)),
        statuses: statuses.join(", "),
        id,
    }
}

/// The fields of a body, those of parts within it too, each by its path.
fn collect(description: &Value, schema: &Value, path: &str, depth: usize, fields: &mut Vec<Field>) {
    let schema = resolve(description, schema);
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        let name_here = format!("{path}{name}");
        let resolved = resolve(description, property);
        let items = resolve(description, &resolved["items"]);
        fields.push(Field {
            name: name_here.clone(),
            kind: kind(resolved),
            is_mandatory: required.contains(&name.as_str()),
        });
        if depth < DEEPEST {
            collect(description, resolved, &format!("{name_here}."), depth + 1, fields);
            collect(description, items, &format!("{name_here}[]."), depth + 1, fields);
        }
    }
}

/// The schema itself, where another one or "that or null" is named in its place.
fn resolve<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(named) = schema["$ref"].as_str() {
        let name = named.rsplit('/').next().unwrap_or_default();
        return &description["components"]["schemas"][name];
    }
    let choices = schema["oneOf"].as_array().or(schema["allOf"].as_array());
    let named = choices.and_then(|choices| choices.iter().find(|choice| choice["$ref"].is_string()));
    named.map_or(schema, |named| resolve(description, named))
}

fn kind(schema: &Value) -> String {
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    let name = names.first().copied().unwrap_or("object");
    match schema["format"].as_str() {
        Some(format @ ("date-time" | "date")) => format.to_owned(),
        _ => name.to_owned(),
    }
}
