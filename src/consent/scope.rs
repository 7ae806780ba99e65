//! What may be traced: which components, how closely, whose use. A scope is only ever narrowed.

use serde::{Deserialize, Serialize};

use crate::db::types::{PersonId, QueueId, text_enum};

text_enum! {
    /// How closely is looked, the coarsest first; each includes those before it.
    pub enum Level {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

text_enum! {
    /// Where records come from.
    pub enum Channel {
        /// Accord itself.
        Server = "server",
        /// The operator's products, which send OpenTelemetry.
        Otlp = "otlp",
    }
}

text_enum! {
    /// A part of what the customer uses, as the question names it.
    pub enum Component {
        /// Pages and the interface for programs.
        Pages = "pages",
        /// What is done in tickets, and looking for them.
        Tickets = "tickets",
        /// Mail in and out.
        Mail = "mail",
        /// Statements to the database, without their values.
        Sql = "database",
        /// Work done in the background.
        Background = "background",
        /// The operator's own products.
        Products = "products",
    }
}

impl Component {
    /// The targets of events and spans that belong to it, each with everything below it. Products are not told apart
    /// by targets.
    pub fn targets(self) -> &'static [&'static str] {
        match self {
            Component::Pages => &["accord::web"],
            Component::Tickets => {
                &["accord::tickets", "accord::search", "accord::people", "accord::access", "accord::audit"]
            }
            Component::Mail => {
                &["accord::mail", "accord::journal", "accord::intake", "accord::outbox", "accord::notifications"]
            }
            Component::Sql => &["accord::db"],
            Component::Background => &["accord::worker", "accord::queue", "accord::reactions"],
            Component::Products => &[],
        }
    }

    /// Whether what Accord records under `target` belongs to it.
    pub fn covers(self, target: &str) -> bool {
        let covers =
            |prefix: &&str| target.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        self.targets().iter().any(covers)
    }

    pub fn channel(self) -> Channel {
        match self {
            Component::Products => Channel::Otlp,
            _ => Channel::Server,
        }
    }
}

/// One component, and how closely it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentScope {
    pub component: Component,
    pub level: Level,
}

/// What may be traced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Each component once, in their order.
    pub components: Vec<ComponentScope>,
    /// Attributes of the operator's products that may be kept beside the usual ones.
    #[serde(default)]
    pub attributes: Vec<String>,
}

impl Scope {
    /// These components, all at `level`.
    pub fn of(components: &[Component], level: Level, attributes: Vec<String>) -> Scope {
        let chosen = Component::ALL.iter().filter(|component| components.contains(component));
        Scope { components: chosen.map(|&component| ComponentScope { component, level }).collect(), attributes }
    }

    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The closest look at any component.
    pub fn level(&self) -> Level {
        self.components.iter().map(|part| part.level).max().unwrap_or(Level::Error)
    }

    pub fn components(&self) -> Vec<Component> {
        self.components.iter().map(|part| part.component).collect()
    }

    /// Where records may come from.
    pub fn channels(&self) -> Vec<Channel> {
        Channel::ALL
            .iter()
            .copied()
            .filter(|channel| self.components.iter().any(|part| part.component.channel() == *channel))
            .collect()
    }

    /// The targets of Accord's own events and spans, with how closely each is looked at.
    pub fn targets(&self) -> Vec<(&'static str, Level)> {
        let parts = self.components.iter();
        parts.flat_map(|part| part.component.targets().iter().map(|target| (*target, part.level))).collect()
    }

    /// How closely the operator's products are looked at, if at all.
    pub fn products(&self) -> Option<Level> {
        self.components.iter().find(|part| part.component == Component::Products).map(|part| part.level)
    }

    /// What is left of it with only `components`, looked at no closer than `closest`.
    pub fn narrowed(&self, components: &[Component], closest: Level) -> Scope {
        let kept = self.components.iter().filter(|part| components.contains(&part.component));
        let components: Vec<ComponentScope> =
            kept.map(|part| ComponentScope { component: part.component, level: part.level.min(closest) }).collect();
        let has_products = components.iter().any(|part| part.component == Component::Products);
        Scope { components, attributes: if has_products { self.attributes.clone() } else { Vec::new() } }
    }

    /// Whether everything in `other` is in this one too.
    pub fn covers(&self, other: &Scope) -> bool {
        let within = |part: &ComponentScope| {
            self.components.iter().any(|own| own.component == part.component && own.level >= part.level)
        };
        other.components.iter().all(within) && other.attributes.iter().all(|name| self.attributes.contains(name))
    }
}

text_enum! {
    /// Whose use is traced, as the database has it.
    pub enum SubjectKind {
        Person = "person",
        Organisation = "organisation",
    }
}

/// Whose use is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One person's own.
    Person(PersonId),
    /// Everybody's in the organisation.
    Organisation,
}

impl Subject {
    pub fn kind(self) -> SubjectKind {
        match self {
            Subject::Person(_) => SubjectKind::Person,
            Subject::Organisation => SubjectKind::Organisation,
        }
    }

    pub fn person(self) -> Option<PersonId> {
        match self {
            Subject::Person(person) => Some(person),
            Subject::Organisation => None,
        }
    }

    /// What the two columns mean. The schema has a person with the one kind, and none with the other.
    pub fn from_columns(kind: SubjectKind, person: Option<PersonId>) -> Subject {
        match (kind, person) {
            (SubjectKind::Person, Some(person)) => Subject::Person(person),
            _ => Subject::Organisation,
        }
    }

    /// What a grant is in law: the consent of whom it concerns, or the organisation's documented instruction to its
    /// processor (GDPR Art. 28(3)(a)).
    pub fn basis(self) -> Basis {
        match self {
            Subject::Person(_) => Basis::Consent,
            Subject::Organisation => Basis::Instruction,
        }
    }
}

text_enum! {
    /// What a grant is in law.
    pub enum Basis {
        Consent = "consent",
        Instruction = "instruction",
    }
}

text_enum! {
    /// What the question is for, in one word beside the agent's own.
    pub enum PurposeCode {
        Fault = "fault",
        Performance = "performance",
        Usage = "usage",
    }
}

/// Who may read what is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipients {
    /// The agents who work in the queue.
    Queue(QueueId),
    /// The agent who asks, alone.
    Agent(PersonId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_only_ever_narrowed() {
        let asked = Scope::of(&[Component::Pages, Component::Products], Level::Debug, vec!["invoice.id".to_owned()]);
        for components in [vec![], vec![Component::Pages], vec![Component::Mail], Component::ALL.to_vec()] {
            for level in Level::ALL {
                let narrowed = asked.narrowed(&components, *level);
                assert!(asked.covers(&narrowed), "{narrowed:?}");
            }
        }
        assert!(!asked.covers(&Scope::of(&[Component::Mail], Level::Error, Vec::new())));
        assert!(!asked.covers(&Scope::of(&[Component::Pages], Level::Trace, Vec::new())));
        assert!(!asked.covers(&Scope { attributes: vec!["iban".to_owned()], ..asked.clone() }));
        assert_eq!(asked.narrowed(&[Component::Pages], Level::Trace).attributes, Vec::<String>::new());
    }

    #[test]
    fn every_component_of_accord_has_targets_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for component in Component::ALL {
            assert_eq!(component.targets().is_empty(), component.channel() == Channel::Otlp);
            for target in component.targets() {
                assert!(seen.insert(*target), "{target} belongs to two components");
            }
        }
    }
}
