//! Who may do what in a desk that was just restored, as lines to be looked through before it is served: rights are as they
//! were when the backup was made, and some may have been taken back since.

use std::fmt;

use crate::db::DbConnection;
use crate::error::Result;
use crate::people::person::PersonState;
use crate::people::roles::BuiltinRole;
use crate::people::staff::StaffMember;
use crate::people::{memberships, staff};

/// Rights that reach beyond one's own tickets.
#[derive(Debug)]
pub struct Rights {
    /// Staff with more than the work of an agent, or with a role of the installation's own.
    managing: Vec<StaffMember>,
    /// How many others answer tickets.
    agents: usize,
    /// Organisations, and who may grant diagnostics for all of each.
    grantors: Vec<(String, String)>,
}

/// What stands in the database.
pub fn in_force(db: &mut DbConnection) -> Result<Rights> {
    let (managing, agents): (Vec<_>, Vec<_>) = staff::all(db)?
        .into_iter()
        .filter(|member| member.state == PersonState::Active)
        .partition(|member| member.roles.iter().any(|role| role.builtin != Some(BuiltinRole::Agent)));
    Ok(Rights { managing, agents: agents.len(), grantors: memberships::all_grantors(db)? })
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Rights are as they were then. Take back, before you serve, what was taken back since.")?;
        writeln!(f, "Staff with more than the work of an agent:")?;
        for member in &self.managing {
            let roles: Vec<&str> = member
                .roles
                .iter()
                .map(|role| role.builtin.map_or(role.name.as_str(), |builtin| builtin.as_str()))
                .collect();
            writeln!(f, "  {}: {}", member.address, roles.join(", "))?;
        }
        writeln!(f, "  and {} who only answer tickets", self.agents)?;
        if self.grantors.is_empty() {
            writeln!(f, "Customers who may grant diagnostics for their organisation: none")?;
        } else {
            writeln!(f, "Customers who may grant diagnostics for their organisation:")?;
        }
        for (organisation, who) in &self.grantors {
            writeln!(f, "  {who}: {organisation}")?;
        }
        // They are in no backup.
        writeln!(f, "API secrets in force: none")
    }
}
