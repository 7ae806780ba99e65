//! `[diagnostics]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `user_attributes` | attributes by which your products say whose use a span is about; the first that is there counts | `user.id`, `user.hash`, `enduser.id` |
//! | `product_user_attributes` | the same of single products that go by others, each as `service.name = attribute`; several of one product in their order | none |

use std::collections::BTreeMap;

use super::Reader;

/// What products call things.
#[derive(Clone, Debug)]
pub struct DiagnosticsConfig {
    pub user_attributes: UserAttributes,
}

/// The attributes by which products say whose use a span is about. Which they are is the operator's to say, who makes the
/// products; were it the customer's, one colleague could change what another's consent lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAttributes {
    /// Of every product that is not named.
    pub usual: Vec<String>,
    /// Of single products, by their `service.name`.
    pub of_products: BTreeMap<String, Vec<String>>,
}

impl UserAttributes {
    /// The attributes that count for a product; the first that is there does.
    pub fn of(&self, product: &str) -> &[String] {
        self.of_products.get(product).unwrap_or(&self.usual)
    }
}

impl DiagnosticsConfig {
    pub(super) fn read(reader: &mut Reader) -> DiagnosticsConfig {
        let mut usual = reader.list("diagnostics.user_attributes");
        if usual.is_empty() {
            // OpenTelemetry's two, and their predecessor.
            usual = ["user.id", "user.hash", "enduser.id"].map(str::to_owned).to_vec();
        }
        let mut of_products: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in reader.list(OF_PRODUCTS) {
            match entry.rsplit_once('=').map(|(product, attribute)| (product.trim(), attribute.trim())) {
                Some((product, attribute)) if !product.is_empty() && !attribute.is_empty() => {
                    of_products.entry(product.to_owned()).or_default().push(attribute.to_owned());
                }
                _ => reader
                    .problem(OF_PRODUCTS, "each is to be a product and its attribute, as in [\"desktop = app.user\"]"),
            }
        }
        DiagnosticsConfig { user_attributes: UserAttributes { usual, of_products } }
    }
}

const OF_PRODUCTS: &str = "diagnostics.product_user_attributes";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::{Overrides, parse};

    #[test]
    fn a_product_may_go_by_attributes_of_its_own() {
        let text = "[diagnostics]\nproduct_user_attributes = [\"desktop = app.user\", \"desktop=app.account\"]";
        let config = parse(text, BTreeMap::new(), &Overrides::default()).unwrap();
        let attributes = config.diagnostics.user_attributes;
        assert_eq!(attributes.of("desktop"), ["app.user", "app.account"]);
        assert_eq!(attributes.of("server"), ["user.id", "user.hash", "enduser.id"]);
        for wrong in ["desktop", "desktop =", "= app.user"] {
            let text = format!("[diagnostics]\nproduct_user_attributes = [\"{wrong}\"]");
            let problems = parse(&text, BTreeMap::new(), &Overrides::default()).unwrap_err();
            assert_eq!(problems[0].key, "diagnostics.product_user_attributes", "{wrong}");
        }
    }
}
