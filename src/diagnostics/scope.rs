//! What a grant opens, component by component.

use serde::{Deserialize, Serialize};

use crate::diagnostics::catalogue::Level;

/// A part of the program, by the beginning of its target, and how detailed it may be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub target: String,
    pub level: Level,
}

impl Component {
    /// Which of `components` admits a record, by its place: the nearest one decides alone.
    pub fn admitting(components: &[Component], target: &str, level: Level) -> Option<u8> {
        let covers = |component: &Component| {
            target.strip_prefix(component.target.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let nearest = components.iter().enumerate().filter(|(_, component)| covers(component));
        let (place, component) = nearest.max_by_key(|(_, component)| component.target.len())?;
        if level > component.level { None } else { u8::try_from(place).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_component_decides() {
        let component = |target: &str, level| Component { target: target.to_owned(), level };
        let components = [component("accord", Level::Trace), component("accord::db", Level::Info)];
        assert_eq!(Component::admitting(&components, "accord::web", Level::Trace), Some(0));
        assert_eq!(Component::admitting(&components, "accord::db", Level::Info), Some(1));
        assert_eq!(Component::admitting(&components, "accord::db::pool", Level::Debug), None);
        assert_eq!(Component::admitting(&components, "accordion", Level::Error), None);
        assert_eq!(Component::admitting(&components[1..], "accord::web", Level::Error), None);
    }
}
