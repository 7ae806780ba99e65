//! Programs in which people work together, bug trackers above all, mail what one of them wrote, and mark it as generated. That
//! it stays with its ticket and is never answered holds for it as for all of this kind (rule D15); but somebody wrote it, so
//! agents are told of it.

use super::{Traits, has, is_machine_made_besides, keyword, values};

/// Whether the mail is generated, by its field of RFC 3834 and nothing else, and names the person whose words it passes on. An
/// answer by itself (`auto-replied`) is nobody's words.
pub fn passes_on_words_of_a_person(mail: &Traits<'_>) -> bool {
    let mut marks = values(mail, "auto-submitted").map(keyword).peekable();
    marks.peek().is_some()
        && marks.all(|mark| matches!(mark.as_str(), "auto-generated" | "auto-notified"))
        && !is_machine_made_besides(mail)
        && names_who_wrote(mail)
}

/// The fields in which the trackers name who did what they tell, and the form that Jira and GitLab give to the name in From;
/// what they say themselves has neither.
fn names_who_wrote(mail: &Traits<'_>) -> bool {
    let says = |name: &str| values(mail, name).any(|value| !value.trim().is_empty());
    let from_contains = |words: &str| values(mail, "from").any(|from| from.to_ascii_lowercase().contains(words));
    (has(mail, "x-jira-fingerprint") && from_contains("(jira)"))
        || (has(mail, "x-gitlab-project") && from_contains("(@"))
        || (has(mail, "x-redmine-host") && says("x-redmine-sender"))
        // Gitea and Forgejo write the fields of GitHub too.
        || says("x-github-sender")
        || says("x-bugzilla-who")
}
