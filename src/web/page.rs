//! What every page is told besides its own matter: reader, language, navigation, flash. Plain data, filled by the
//! extractors and read by `templates/layout/`; the small view types that the shared partials show are here too.

use crate::clock::UtcTime;
use crate::i18n::Texts;
use crate::web::assets;

/// The shell of one page. A view struct holds it as `p`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The reader's language and time zone; templates say `p.t.say("key")`.
    pub t: Texts,
    /// When the page was made; relative times count from it.
    pub now: UtcTime,
    /// The document's title, without the operator's name, which is added after it.
    pub title: String,
    /// The operator's name, as customers know it.
    pub operator: String,
    /// Light or dark by the person's choice, else by the system's setting.
    pub theme: Theme,
    /// Who is signed in, if anybody.
    pub person: Option<Reader>,
    /// Where "sign in" leads; shown only while nobody is signed in.
    pub sign_in_href: Option<String>,
    /// The main navigation, grouped; the portal shows it as one line.
    pub navigation: Vec<NavigationGroup>,
    /// The links of the foot (privacy, legal notice); the desk has none.
    pub footer: Vec<NavigationItem>,
    /// The token every form carries against forgery, by `form::csrf()`.
    pub csrf: String,
    /// What the last action has to say, once.
    pub flash: Option<Flash>,
    /// The same page in each language; shown when there are two or more.
    pub languages: Vec<LanguageLink>,
    /// A line above everything on every page, such as "This is a demonstration".
    pub banner: Option<String>,
    /// The capture that runs for the reader's organisation, with its stop button, on every page of the customer.
    pub consent: Option<ConsentBanner>,
    /// For which of several organisations the reader acts; nothing for who has one.
    pub acting: Option<String>,
    /// The search box of the head.
    pub search: Option<SearchBox>,
    /// Whether single keys act on this page; the person may turn them off (WCAG 2.1.4).
    pub shortcuts: bool,
}

impl Page {
    /// The address of an asset, with its content hash.
    pub fn asset(&self, name: &str) -> &'static str {
        assets::asset_path(name)
    }

    /// A page for a visitor, with nothing around it; what is missing is set by the caller.
    pub fn bare(t: Texts, now: UtcTime, title: impl Into<String>, operator: impl Into<String>) -> Self {
        Page {
            t,
            now,
            title: title.into(),
            operator: operator.into(),
            theme: Theme::System,
            person: None,
            sign_in_href: None,
            navigation: Vec::new(),
            footer: Vec::new(),
            csrf: String::new(),
            flash: None,
            languages: Vec::new(),
            banner: None,
            consent: None,
            acting: None,
            search: None,
            shortcuts: false,
        }
    }
}

/// The choice between light and dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// The value of `data-theme`, as in the database and in the form that changes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// Reads what [`Theme::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Theme> {
        [Theme::System, Theme::Light, Theme::Dark].into_iter().find(|theme| theme.as_str() == text)
    }
}

/// The signed-in person, as the head shows them.
#[derive(Clone, Debug)]
pub struct Reader {
    pub name: String,
    pub email: String,
    /// The links of the person's menu (account, notifications), above "sign out".
    pub menu: Vec<NavigationItem>,
    /// Where the form "sign out" posts to.
    pub sign_out_action: String,
    /// Where the form that changes the theme posts `theme` (`system`, `light`, `dark`) to.
    pub theme_action: String,
}

/// A titled part of the navigation.
#[derive(Clone, Debug, Default)]
pub struct NavigationGroup {
    /// Nothing for the first group, which needs no title.
    pub title: Option<String>,
    pub items: Vec<NavigationItem>,
}

/// A link of a navigation, of tabs or of a menu.
#[derive(Clone, Debug, Default)]
pub struct NavigationItem {
    pub label: String,
    pub href: String,
    /// A name of the sprite, or empty.
    pub icon: &'static str,
    /// Whether this is where the reader is.
    pub current: bool,
    /// How many wait there (`12`, `1 000+`).
    pub count: Option<String>,
    /// How the count is coloured.
    pub tone: Tone,
}

impl NavigationItem {
    pub fn new(label: impl Into<String>, href: impl Into<String>, icon: &'static str) -> Self {
        NavigationItem { label: label.into(), href: href.into(), icon, ..NavigationItem::default() }
    }

    /// Marks the item as the page one is on.
    pub fn current_if(mut self, current: bool) -> Self {
        self.current = current;
        self
    }

    /// Adds how many wait there.
    pub fn counting(mut self, count: impl Into<String>, tone: Tone) -> Self {
        self.count = Some(count.into());
        self.tone = tone;
        self
    }
}

/// What a colour says; a word always says it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    /// It is for us to act.
    Act,
    /// It waits for somebody else or for a day.
    Paused,
    /// It is done.
    Done,
    /// It is late, or went wrong.
    Late,
    /// It is worth knowing.
    Info,
}

impl Tone {
    /// The style sheet's word, as in `tone-act`.
    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Act => "act",
            Tone::Paused => "paused",
            Tone::Done => "done",
            Tone::Late => "late",
            Tone::Info => "info",
        }
    }

    /// The icon that goes with a notice of this tone.
    pub fn icon(self) -> &'static str {
        match self {
            Tone::Plain | Tone::Info => "info",
            Tone::Act | Tone::Late => "alert",
            Tone::Paused => "pause",
            Tone::Done => "check",
        }
    }
}

/// What the last action has to say.
#[derive(Clone, Debug)]
pub struct Flash {
    /// `Done` for success, `Late` for failure, `Info` or `Act` between them.
    pub tone: Tone,
    pub text: String,
    /// A way back: the button's words and where it posts to.
    pub undo: Option<(String, String)>,
}

/// The page in one language.
#[derive(Clone, Debug)]
pub struct LanguageLink {
    /// The language's code, as in `hreflang`.
    pub code: &'static str,
    /// Its name in itself: Français, English.
    pub name: &'static str,
    pub href: String,
    pub current: bool,
}

/// A capture in progress or agreed to, and the way to stop it.
#[derive(Clone, Debug)]
pub struct ConsentBanner {
    pub icon: &'static str,
    /// What runs, or waits, and for how long still.
    pub text: String,
    /// The page that shows it.
    pub href: String,
    /// Where "stop now" posts to; nothing for whoever is traced by what another granted for the organisation.
    pub stop_action: Option<String>,
}

/// The search box of the head.
#[derive(Clone, Debug)]
pub struct SearchBox {
    /// Where it leads, by GET, with `q`.
    pub action: String,
    /// What it says it searches.
    pub label: String,
    /// What is searched now.
    pub query: String,
}

/// One choice of a select or of radio buttons.
#[derive(Clone, Debug)]
pub struct Choice {
    pub value: String,
    pub label: String,
    /// More words below the label; radio buttons show them.
    pub hint: String,
    pub selected: bool,
}

impl Choice {
    /// Choices from pairs of value and label, the one whose value is `selected` marked.
    pub fn list<V, L>(pairs: impl IntoIterator<Item = (V, L)>, selected: &str) -> Vec<Choice>
    where
        V: Into<String>,
        L: Into<String>,
    {
        pairs
            .into_iter()
            .map(|(value, label)| {
                let value = value.into();
                let selected = value == selected;
                Choice { value, label: label.into(), hint: String::new(), selected }
            })
            .collect()
    }
}

/// A step of the way to this page.
#[derive(Clone, Debug)]
pub struct Crumb {
    pub label: String,
    pub href: String,
}

impl Crumb {
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Crumb { label: label.into(), href: href.into() }
    }
}

/// A file that can be downloaded.
#[derive(Clone, Debug)]
pub struct AttachmentLink {
    pub name: String,
    pub href: String,
    /// The size in words, by `Texts::size`.
    pub size: String,
    /// What else is to be said of it: why it cannot be downloaded, that it was deleted.
    pub note: Option<String>,
}

/// The first letters of a name, for the round mark beside it.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let last = words.next_back();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FieldErrors;
    use crate::i18n::Locale;
    use askama::Template;

    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"{% extends "layout/desk.html" %}
{% import "layout/forms.html" as form %}
{% import "layout/parts.html" as ui %}
{% block main %}
{% call ui::heading(name) %}<a href="/">x</a>{% endcall %}
{{ ui::breadcrumb(crumbs) }}{{ ui::tabs(tabs, name) }}{{ ui::status("waiting_for_us") }}{{ ui::priority("urgent") }}
{% call ui::message("note", name, p.now, id = "m1") %}<p>text</p>{{ ui::attachments(files) }}{% endcall %}
{{ ui::event("user", name, p.now) }}{{ ui::pager(None::<&str>, Some("/older")) }}
<form class="form" method="post">{{ form::csrf() }}{{ form::time_zone() }}{{ form::summary() }}{{ form::mandatory() }}
{{ form::field("email", name, value = name, required = true, hint = "why") }}
{{ form::textarea("body", "Body", value = name) }}{{ form::select("queue", "Queue", choices) }}
{{ form::checkbox("copy", "Copy") }}{{ form::files("files", "Files") }}{{ form::submit("Go") }}</form>
{% call ui::confirm("erase", "Erase", name, "/erase") %}{% endcall %}
{% endblock %}
{% block side %}{% call ui::panel(name) %}<p>x</p>{% endcall %}{% endblock %}"#
    )]
    struct Specimen {
        p: Page,
        errors: FieldErrors,
        name: String,
        crumbs: Vec<Crumb>,
        tabs: Vec<NavigationItem>,
        files: Vec<AttachmentLink>,
        choices: Vec<Choice>,
    }

    fn specimen(name: &str) -> Specimen {
        let now = UtcTime::from_seconds(1_795_400_000);
        let mut p = Page::bare(Texts::in_language(Locale::En), now, name, name);
        p.csrf = "token".to_owned();
        p.shortcuts = true;
        p.theme = Theme::Dark;
        p.flash = Some(Flash { tone: Tone::Done, text: name.to_owned(), undo: None });
        p.person = Some(Reader {
            name: name.to_owned(),
            email: name.to_owned(),
            menu: Vec::new(),
            sign_out_action: "/sign-out".to_owned(),
            theme_action: "/theme".to_owned(),
        });
        let items = vec![NavigationItem::new(name, "/here", "inbox").current_if(true).counting("1,000+", Tone::Act)];
        p.navigation = vec![NavigationGroup { title: Some(name.to_owned()), items: items.clone() }];
        let mut errors = FieldErrors::default();
        errors.add("email", "palette-none");
        let file = AttachmentLink { name: name.to_owned(), href: "/f".to_owned(), size: "1 kB".to_owned(), note: None };
        Specimen {
            p,
            errors,
            name: name.to_owned(),
            crumbs: vec![Crumb::new(name, "/")],
            tabs: items,
            files: vec![file],
            choices: Choice::list([(name, name)], name),
        }
    }

    #[test]
    fn names_are_text_wherever_the_shell_and_its_parts_show_them() {
        let html = specimen("<img src=x>\"'&").render().unwrap();
        assert!(!html.contains("<img src=x"), "{html}");
        assert!(!html.contains("=\"<"), "{html}");
        assert!(html.contains("&#60;img src=x&#62;&#34;&#39;&#38;"), "{html}");
    }

    #[test]
    fn a_wrong_field_says_so_beside_it_and_in_the_summary() {
        let html = specimen("Email").render().unwrap();
        assert!(html.contains(r#"aria-invalid="true" aria-describedby="email-error email-hint""#), "{html}");
        assert!(html.contains(r##"<a href="#email">E-mail address: Nothing has this name.</a>"##), "{html}");
        assert_eq!(html.matches(r#"id="email-error""#).count(), 1);
        assert_eq!(html.matches("aria-invalid").count(), 1);
    }

    #[test]
    fn every_form_that_posts_carries_the_token() {
        let html = specimen("x").render().unwrap();
        let forms: Vec<&str> = html.split("<form").skip(1).filter(|form| form.contains(r#"method="post""#)).collect();
        assert!(forms.len() > 3);
        for form in forms {
            assert!(form.split("</form>").next().unwrap().contains(r#"name="csrf" value="token""#), "{form}");
        }
    }

    #[test]
    fn the_theme_stands_on_the_root_so_that_nothing_flashes() {
        assert!(specimen("x").render().unwrap().contains(r#"<html lang="en" data-theme="dark">"#));
        for theme in [Theme::System, Theme::Light, Theme::Dark] {
            assert_eq!(Theme::parse(theme.as_str()), Some(theme));
        }
    }

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        assert_eq!(initials("Claire Lefèvre"), "CL");
        assert_eq!(initials("élodie de la Tour"), "ÉT");
        assert_eq!(initials("support@exemple.fr"), "S");
        assert_eq!(initials("  "), "");
    }

    #[test]
    fn a_choice_is_selected_by_its_value() {
        let choices = Choice::list([("fr", "Français"), ("en", "English")], "en");
        assert_eq!(choices.iter().map(|choice| choice.selected).collect::<Vec<_>>(), [false, true]);
    }
}
