//! Configuration data (B10): the set-ups of an organisation, each with its products and their versions, its operating
//! system and the components around them. It helps the request it came with.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{environment_components, environments, sites, tickets};
use crate::db::types::{EnvironmentId, OrganisationId, SiteId, text_enum};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Message;
use crate::people::{fields, organisations};
use crate::secret::random_handle;

/// Environments of one organisation at most; lists of them are shown whole.
pub const MOST: usize = 500;
/// Products and components of one environment at most.
pub const MOST_COMPONENTS: usize = 200;
/// The longest version, in characters; some are a commit's name.
const VERSION_LENGTH: usize = 60;

text_enum! {
    /// Whether a part of an environment is the operator's product or something beside it.
    pub enum ComponentKind {
        Product = "product",
        Component = "component",
    }
}

/// A product or component with its version, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Component {
    pub kind: ComponentKind,
    pub name: String,
    pub version: String,
}

/// An environment with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub id: EnvironmentId,
    pub organisation_id: OrganisationId,
    pub handle: String,
    pub name: String,
    pub operating_system: String,
    pub remarks: String,
    /// The site it is at, by public name and name.
    pub site: Option<(String, String)>,
    pub components: Vec<Component>,
}

impl Environment {
    /// The parts of one kind.
    pub fn of_kind(&self, kind: ComponentKind) -> impl Iterator<Item = &Component> {
        self.components.iter().filter(move |component| component.kind == kind)
    }

    /// The parts of one kind as they are written in a form, one a line.
    pub fn lines_of(&self, kind: ComponentKind) -> String {
        let lines: Vec<String> = self
            .of_kind(kind)
            .map(|component| match component.version.as_str() {
                "" => component.name.clone(),
                version => format!("{} ; {version}", component.name),
            })
            .collect();
        lines.join("\n")
    }
}

/// What is said of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentDescription {
    pub name: String,
    /// The site's public name, or nothing.
    pub site: String,
    pub operating_system: String,
    pub remarks: String,
    pub components: Vec<Component>,
}

impl EnvironmentDescription {
    fn check(&self, errors: &mut FieldErrors) -> EnvironmentDescription {
        if self.components.len() > MOST_COMPONENTS {
            errors.add("products", Message::new("error-at-most").with("most", MOST_COMPONENTS));
        }
        EnvironmentDescription {
            name: fields::mandatory_line(errors, "name", &self.name, fields::NAME_LENGTH),
            site: self.site.clone(),
            operating_system: fields::optional_line(
                errors,
                "operating_system",
                &self.operating_system,
                fields::NAME_LENGTH,
            ),
            remarks: fields::optional_lines(errors, "remarks", &self.remarks),
            components: self
                .components
                .iter()
                .take(MOST_COMPONENTS)
                .map(|component| {
                    let field = match component.kind {
                        ComponentKind::Product => "products",
                        ComponentKind::Component => "components",
                    };
                    Component {
                        kind: component.kind,
                        name: fields::mandatory_line(errors, field, &component.name, fields::NAME_LENGTH),
                        version: fields::optional_line(errors, field, &component.version, VERSION_LENGTH),
                    }
                })
                .collect(),
        }
    }
}

/// Reads parts written one a line, the version after a semicolon; empty lines are nothing.
pub fn parse_lines(text: &str, kind: ComponentKind) -> Vec<Component> {
    text.lines()
        .map(|line| {
            let (name, version) = line.split_once(';').unwrap_or((line, ""));
            Component { kind, name: fields::line(name), version: fields::line(version) }
        })
        .filter(|component| !component.name.is_empty() || !component.version.is_empty())
        .collect()
}

/// The environments of an organisation by name.
pub fn of_organisation(db: &mut DbConnection, organisation: OrganisationId) -> Result<Vec<Environment>> {
    let rows: Vec<Row> = environments::table
        .left_join(sites::table.on(sites::id.nullable().eq(environments::site_id)))
        .filter(environments::organisation_id.eq(organisation))
        .order(environments::id)
        .limit(MOST as i64)
        .select(columns())
        .load(db)?;
    let mut components: Vec<(EnvironmentId, Component)> = environment_components::table
        .filter(environment_components::organisation_id.eq(organisation))
        .order((environment_components::environment_id, environment_components::id))
        .select((environment_components::environment_id, component_columns()))
        .load(db)?;
    let mut found: Vec<Environment> = Vec::new();
    for row in rows {
        let of_row =
            components.extract_if(.., |(environment, _)| *environment == row.0).map(|(_, part)| part).collect();
        found.push(environment(row, of_row));
    }
    found.sort_by_cached_key(|environment| fields::sort_name([environment.name.as_str()]));
    Ok(found)
}

/// The environment of `organisation` with that public name.
pub fn find(db: &mut DbConnection, organisation: OrganisationId, handle: &str) -> Result<Option<Environment>> {
    let row: Option<Row> = environments::table
        .left_join(sites::table.on(sites::id.nullable().eq(environments::site_id)))
        .filter(environments::organisation_id.eq(organisation))
        .filter(environments::handle.eq(handle))
        .select(columns())
        .first(db)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let components = environment_components::table
        .filter(environment_components::organisation_id.eq(organisation))
        .filter(environment_components::environment_id.eq(row.0))
        .order(environment_components::id)
        .select(component_columns())
        .load(db)?;
    Ok(Some(environment(row, components)))
}

/// Adds an environment and gives its public name.
pub fn create(
    db: &mut DbConnection,
    organisation: OrganisationId,
    description: &EnvironmentDescription,
    now: UtcTime,
) -> Result<String> {
    organisations::touch(db, organisation, now)?;
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    let site = find_site(db, organisation, &description.site, &mut errors)?;
    let existing: i64 =
        environments::table.filter(environments::organisation_id.eq(organisation)).count().get_result(db)?;
    if usize::try_from(existing).is_ok_and(|existing| existing >= MOST) {
        errors.add("name", Message::new("error-at-most").with("most", MOST));
    }
    errors.into_result()?;
    let handle = random_handle();
    let id: EnvironmentId = diesel::insert_into(environments::table)
        .values((
            environments::organisation_id.eq(organisation),
            environments::site_id.eq(site),
            environments::handle.eq(&handle),
            environments::name.eq(description.name),
            environments::operating_system.eq(description.operating_system),
            environments::remarks.eq(description.remarks),
            environments::created_at.eq(now),
            environments::updated_at.eq(now),
        ))
        .returning(environments::id)
        .get_result(db)?;
    insert_components(db, organisation, id, &description.components)?;
    Ok(handle)
}

/// Describes an environment anew, with all its parts.
pub fn update(
    db: &mut DbConnection,
    environment: &Environment,
    description: &EnvironmentDescription,
    now: UtcTime,
) -> Result<()> {
    let organisation = environment.organisation_id;
    organisations::touch(db, organisation, now)?;
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    let site = find_site(db, organisation, &description.site, &mut errors)?;
    errors.into_result()?;
    diesel::update(environments::table.find(environment.id))
        .set((
            environments::site_id.eq(site),
            environments::name.eq(description.name),
            environments::operating_system.eq(description.operating_system),
            environments::remarks.eq(description.remarks),
            environments::updated_at.eq(now),
        ))
        .execute(db)?;
    diesel::delete(environment_components::table.filter(environment_components::environment_id.eq(environment.id)))
        .execute(db)?;
    insert_components(db, organisation, environment.id, &description.components)
}

/// Removes an environment that no request refers to.
pub fn remove(db: &mut DbConnection, environment: &Environment, now: UtcTime) -> Result<()> {
    organisations::touch(db, environment.organisation_id, now)?;
    let in_tickets: i64 = tickets::table.filter(tickets::environment_id.eq(environment.id)).count().get_result(db)?;
    if in_tickets > 0 {
        return Err(Error::Conflict(Message::new("conflict-environment-in-use")));
    }
    diesel::delete(environments::table.find(environment.id)).execute(db)?;
    Ok(())
}

fn find_site(
    db: &mut DbConnection,
    organisation: OrganisationId,
    handle: &str,
    errors: &mut FieldErrors,
) -> Result<Option<SiteId>> {
    if handle.is_empty() {
        return Ok(None);
    }
    let site = super::sites::find(db, organisation, handle)?;
    if site.is_none() {
        errors.add("site", "error-site-unknown");
    }
    Ok(site.map(|site| site.id))
}

fn insert_components(
    db: &mut DbConnection,
    organisation: OrganisationId,
    environment: EnvironmentId,
    components: &[Component],
) -> Result<()> {
    for component in components {
        diesel::insert_into(environment_components::table)
            .values((
                environment_components::organisation_id.eq(organisation),
                environment_components::environment_id.eq(environment),
                environment_components::kind.eq(component.kind),
                environment_components::name.eq(&component.name),
                environment_components::component_version.eq(&component.version),
            ))
            .execute(db)?;
    }
    Ok(())
}

type Row = (EnvironmentId, OrganisationId, String, String, String, String, Option<String>, Option<String>);

fn environment(row: Row, components: Vec<Component>) -> Environment {
    let (id, organisation_id, handle, name, operating_system, remarks, site_handle, site_name) = row;
    let site = site_handle.zip(site_name);
    Environment { id, organisation_id, handle, name, operating_system, remarks, site, components }
}

type Columns = (
    environments::id,
    environments::organisation_id,
    environments::handle,
    environments::name,
    environments::operating_system,
    environments::remarks,
    diesel::dsl::Nullable<sites::handle>,
    diesel::dsl::Nullable<sites::name>,
);

fn columns() -> Columns {
    (
        environments::id,
        environments::organisation_id,
        environments::handle,
        environments::name,
        environments::operating_system,
        environments::remarks,
        sites::handle.nullable(),
        sites::name.nullable(),
    )
}

type ComponentColumns =
    (environment_components::kind, environment_components::name, environment_components::component_version);

fn component_columns() -> ComponentColumns {
    (environment_components::kind, environment_components::name, environment_components::component_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_one_a_line_with_their_version() {
        let read = parse_lines("Facturo ; 4.2.1\r\n\n  Facturo Mobile\n;9\n", ComponentKind::Product);
        let part = |name: &str, version: &str| Component {
            kind: ComponentKind::Product,
            name: name.to_owned(),
            version: version.to_owned(),
        };
        assert_eq!(read, [part("Facturo", "4.2.1"), part("Facturo Mobile", ""), part("", "9")]);
        let mut errors = FieldErrors::default();
        let description = EnvironmentDescription { name: "Prod".to_owned(), components: read, ..Default::default() };
        description.check(&mut errors);
        assert_eq!(errors.of("products").map(|message| message.key), Some("error-mandatory"));
    }
}
