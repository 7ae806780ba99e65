//! Who may do what in a desk that was just restored, as lines to be looked through before it is served: rights are as they
//! were when the backup was made, and some may have been taken back since.

use std::collections::BTreeMap;
use std::fmt;

use crate::db::DbConnection;
use crate::db::types::QueueId;
use crate::error::Result;
use crate::i18n::Locale;
use crate::people::person::PersonState;
use crate::people::{memberships, staff};
use crate::teams::{members, queues};

/// Who works here and who may grant.
#[derive(Debug)]
pub struct Rights {
    staff: Vec<Member>,
    /// Organisations, and who may grant diagnostics for all of each.
    grantors: Vec<(String, String)>,
}

/// Somebody of the staff who can sign in.
#[derive(Debug)]
struct Member {
    address: String,
    roles: Vec<String>,
    /// The queues they work in; a supervisor sees all beside.
    queues: Vec<String>,
}

/// What stands in the database.
pub fn in_force(db: &mut DbConnection) -> Result<Rights> {
    let names: BTreeMap<QueueId, String> =
        queues::all(db)?.into_iter().map(|queue| (queue.id, queue.name(Locale::En).to_owned())).collect();
    let mut staff = Vec::new();
    for member in staff::all(db)?.into_iter().filter(|member| member.state == PersonState::Active) {
        let roles = member.roles.iter().map(|role| match role.builtin {
            Some(builtin) => builtin.as_str().to_owned(),
            None => role.name.clone(),
        });
        let works_in = members::queues_of(db, member.person_id)?;
        staff.push(Member {
            roles: roles.collect(),
            queues: works_in.iter().filter_map(|queue| names.get(queue).cloned()).collect(),
            address: member.address,
        });
    }
    Ok(Rights { staff, grantors: memberships::all_grantors(db)? })
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Rights are as they were then. Take back, before you serve, what was taken back since.")?;
        writeln!(f, "Staff, with their roles and queues:")?;
        for member in &self.staff {
            let queues = if member.queues.is_empty() { "no queue".to_owned() } else { member.queues.join(", ") };
            writeln!(f, "  {}: {}; {queues}", member.address, member.roles.join(", "))?;
        }
        let none = if self.grantors.is_empty() { " none" } else { "" };
        writeln!(f, "Customers who may grant diagnostics for their organisation:{none}")?;
        for (organisation, who) in &self.grantors {
            writeln!(f, "  {who}: {organisation}")?;
        }
        // They are in no backup.
        writeln!(f, "API secrets in force: none")
    }
}
