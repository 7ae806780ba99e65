//! Every path of the program, in one table. The access table in `tests/integration/access.rs` has a row for each and
//! is compared with this one, so no path is forgotten.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use crate::web::{asset_route, health, home};

/// One method on one path, and what answers it.
pub struct Entry {
    pub method: Method,
    pub path: &'static str,
    pub route: fn() -> Route,
}

macro_rules! table {
    ($($method:ident $path:literal => $handler:path,)*) => {
        /// The whole table.
        pub fn table() -> Vec<Entry> {
            vec![$(Entry {
                method: Method::$method,
                path: $path,
                route: || web::method(Method::$method).to($handler),
            },)*]
        }
    };
}

table! {
    // Public
    GET "/" => home::front_door,
    GET "/assets/{name}" => asset_route::show,
    GET "/healthz" => health::alive,
    GET "/readyz" => health::ready,
}

/// Registers the table; methods that share a path share a resource, so that another method is answered with 405.
pub fn routes(config: &mut ServiceConfig) {
    let mut resources: Vec<(&'static str, Resource)> = Vec::new();
    for entry in table() {
        match resources.iter().position(|(path, _)| *path == entry.path) {
            Some(index) => {
                let (path, resource) = resources.remove(index);
                resources.insert(index, (path, resource.route((entry.route)())));
            }
            None => resources.push((entry.path, web::resource(entry.path).route((entry.route)()))),
        }
    }
    for (_, resource) in resources {
        config.service(resource);
    }
}
