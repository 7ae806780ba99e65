//! Style sheet, script and pictures, compiled in and served under a name with a hash of the content, so that a browser
//! may keep them for ever.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// One file a page may load.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The file's name in `templates/assets/`, as templates write it.
    pub name: &'static str,
    /// The path it is served at.
    pub path: &'static str,
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    pub content: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $media_type:expr),+ $(,)?) => {
        &[$(($name, $media_type, include_bytes!(concat!("../../templates/assets/", $name)))),+]
    };
}

/// Every asset: name, media type, content.
const FILES: &[(&str, &str, &[u8])] = files! {
    "accord.css": CSS,
    "accord.js": JAVASCRIPT,
    "icons.svg": SVG,
    "logo.svg": SVG,
    "favicon.svg": SVG,
};

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|&(name, media_type, content)| Asset { name, path: hashed_path(name, content), media_type, content })
        .collect()
});

/// The path of the asset `name`: `accord.css` gives `/assets/accord.3fa9….css`.
///
/// The test `every_asset_a_template_names_exists` makes sure that a name in a template is one of ours.
pub fn asset_path(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.path)
}

/// The asset served under `served_name`, the last segment of its path.
pub fn find(served_name: &str) -> Option<Asset> {
    ASSETS.iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(served_name)).copied()
}

fn hashed_path(name: &str, content: &[u8]) -> &'static str {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(content)[..8]);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    // Once per asset and per process, kept until its end.
    Box::leak(format!("/assets/{stem}.{hash}.{extension}").into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// experience.md: at most 30 KB of script in all.
    const SCRIPT_BYTES: usize = 30 * 1024;

    fn templates() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
    }

    /// The pages; mails are another matter, they have no style sheet.
    fn html_files(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The frame of a mail is a document of its own, whose one style its own policy names by hash (H-02).
            if path.ends_with("email") || path.ends_with("agent/frame.html") {
                continue;
            }
            if path.is_dir() {
                html_files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "html") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }

    fn templates_with_text() -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        html_files(&templates(), &mut found);
        assert!(!found.is_empty());
        found
    }

    /// The string literals that follow `before` in `text`.
    fn literals_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn scripts_are_at_most_30_kb_in_all() {
        let bytes: usize = FILES.iter().filter(|file| file.1 == JAVASCRIPT).map(|file| file.2.len()).sum();
        assert!(bytes <= SCRIPT_BYTES, "{bytes} bytes of script");
    }

    #[test]
    fn every_asset_a_template_names_exists() {
        for (path, text) in templates_with_text() {
            for before in ["asset(\"", "asset_path(\""] {
                for name in literals_after(&text, before) {
                    assert!(!asset_path(name).is_empty(), "{} names the asset {name}", path.display());
                }
            }
        }
    }

    #[test]
    fn every_icon_a_template_names_is_in_the_sprite() {
        let sprite = fs::read_to_string(templates().join("assets/icons.svg")).unwrap();
        for (path, text) in templates_with_text() {
            for before in ["icon(\"", "icon=\"", "icon = \""] {
                for name in literals_after(&text, before).filter(|name| !name.is_empty() && !name.contains("{")) {
                    assert!(sprite.contains(&format!("id=\"{name}\"")), "{} names the icon {name}", path.display());
                }
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        for entry in fs::read_dir(templates().join("assets")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = asset_path(&name);
            assert!(!path.is_empty(), "{name} is in the folder and not in the list");
            let served = find(path.rsplit('/').next().unwrap()).unwrap();
            assert_eq!(served.name, name);
        }
        assert!(find("accord.css").is_none());
    }

    /// The content security policy forbids them, so a browser would drop them in silence.
    #[test]
    fn no_template_has_an_inline_style_script_or_handler() {
        for (path, text) in templates_with_text() {
            let text = text.to_ascii_lowercase();
            assert!(!text.contains(" style="), "{} has an inline style", path.display());
            assert!(!text.contains("<style"), "{} has a style element", path.display());
            assert!(!text.contains("javascript:"), "{} has a script address", path.display());
            for tag in text.split("<script").skip(1) {
                assert!(tag.trim_start().starts_with("src="), "{} has an inline script", path.display());
            }
            for word in text.split_ascii_whitespace() {
                let handler = word.strip_prefix("on").and_then(|rest| rest.split_once("=\"")).map(|(name, _)| name);
                let is_handler =
                    handler.is_some_and(|name| name.len() > 2 && name.chars().all(|c| c.is_ascii_lowercase()));
                assert!(!is_handler, "{} has the inline handler {word}", path.display());
            }
        }
    }
}
