//! The description of the interface in OpenAPI, made from the handlers and their types. A test compares it with the
//! router's table, so that nothing is left out.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Data;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Description, ServerBuilder};
use utoipa::{Modify, OpenApi};

use crate::app::App;
use crate::web::api::{environments, grants, messages, organisations, people, tickets, token};

/// Everything that programs can ask for.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Accord",
        description = "The support desk for programs. Exchange an API secret for a token that lasts fifteen minutes, \
            and send it as `Authorization: Bearer`. A token acts as the person who made the secret, within the \
            secret's scopes, organisation and queue.",
    ),
    paths(
        token::create,
        tickets::list, tickets::create, tickets::show,
        messages::list, messages::create,
        people::list, people::create, people::show,
        organisations::list, organisations::create, organisations::show,
        environments::list, environments::create, environments::show,
        grants::list,
    ),
    modifiers(&Bearer),
)]
struct Interface;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut Description) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = description.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The description, without the address of an installation.
pub fn description() -> &'static Description {
    static DESCRIPTION: LazyLock<Description> = LazyLock::new(Interface::openapi);
    &DESCRIPTION
}

/// `GET /api/v1/openapi.json`
pub async fn show(app: Data<App>) -> HttpResponse {
    let mut description = description().clone();
    description.servers = Some(vec![ServerBuilder::new().url(app.config.http.base_url.clone()).build()]);
    HttpResponse::Ok().json(description)
}
