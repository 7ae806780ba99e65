//! `accord verify`: checks a receipt, a certificate of destruction or a bundle of evidence that a customer holds. It needs
//! no server, no database and no settings: only the file, and to know whose key it should be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::consent::{receipt, signing};

/// The largest document looked at, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

const EXAMPLES: &str = "\
With the operator's key, which stands on the page of the receipt, and no server:

  accord verify receipt-7q4kd2wm9.jsonld --key z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK

It ends with 0 when all that could be checked is sound, else with 1.";

/// What to check.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Verify {
    /// A receipt, a certificate or a bundle of evidence, as Accord gave it out.
    file: PathBuf,
    /// The key that the operator publishes (`z6Mk…` or `did:key:z6Mk…`); without it, only that the document is whole is
    /// shown, and by which key.
    #[arg(long)]
    key: Option<String>,
}

impl Verify {
    /// Runs the command: 0 when all that could be checked is sound.
    pub fn run(&self) -> ExitCode {
        match check(&self.file, self.key.as_deref()) {
            Ok(lines) => {
                for line in lines {
                    println!("ok    {line}");
                }
                ExitCode::SUCCESS
            }
            Err(why) => {
                println!("FAIL  {why}");
                ExitCode::FAILURE
            }
        }
    }
}

/// What was found sound, line by line, or what is not.
pub fn check(file: &Path, key: Option<&str>) -> Result<Vec<String>, String> {
    let shown = file.display();
    let size = std::fs::metadata(file).map_err(|error| format!("{shown} cannot be read: {error}"))?.len();
    if size > LARGEST {
        return Err(format!("{shown} is too large to be one of these documents"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let document = serde_json::from_str(&text).map_err(|error| format!("{shown} is no such document: {error}"))?;
    let sound = receipt::verify(&document).map_err(|doubt| doubt.to_string())?;
    let mut lines = sound.parts;
    match key {
        Some(key) if signing::is_same_key(key, &sound.key) => {
            lines.push(format!("signed by the key given, {}", sound.key))
        }
        Some(_) => return Err(format!("signed by another key than the one given: {}", sound.key)),
        None => lines.push(format!("signed by {}; compare it with the key that the operator publishes", sound.key)),
    }
    Ok(lines)
}
