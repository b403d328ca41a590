//! Chromium, in which the console and the JavaScript client are tested as players use them.

use std::env;
use std::path::PathBuf;

use super::REPEAT;
use crate::failure::Failure;
use crate::packages::{Packages, find_in_path};

/// Names another browser, here and in `tests/browser`.
const VARIABLE: &str = "CHROMIUM";
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const ADVICE: &str = "\
The tests in a browser need Chromium. Install it:
  Debian           sudo apt-get install -y chromium
  Fedora           sudo dnf install -y chromium
  Arch             sudo pacman -S chromium
  macOS            brew install --cask chromium
or name a Chrome or Chromium in the variable CHROMIUM.";

/// The browser that the user names, or one of the PATH.
pub(super) fn find() -> Option<PathBuf> {
    // A whole path is found in every folder.
    let named = env::var(VARIABLE).ok();
    named
        .and_then(|program| find_in_path(&program))
        .or_else(|| NAMES.into_iter().find_map(find_in_path))
}

/// As [`find`], after installing it if need be and possible.
pub(super) fn find_or_install(packages: &Packages<'_>) -> Result<PathBuf, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if Packages::can_install() {
        packages.install("install Chromium", &["chromium"])?;
    }
    find().ok_or_else(|| Failure::new("find Chromium", ADVICE, REPEAT))
}
