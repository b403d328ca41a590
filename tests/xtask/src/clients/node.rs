//! Node.js, which runs the JavaScript client outside of browsers and drives the browser.

use std::path::PathBuf;

use super::REPEAT;
use crate::failure::Failure;
use crate::packages::{Packages, find_in_path, output_of};

/// Major and minor version.
const VERSION_MIN: (u32, u32) = (20, 19);
/// Debian called it otherwise for some years.
const NAMES: [&str; 2] = ["node", "nodejs"];
const ADVICE: &str = "\
The JavaScript client needs Node.js 20.19 or newer. Install it:
  Debian 13        sudo apt-get install -y nodejs
  Fedora           sudo dnf install -y nodejs
  Arch             sudo pacman -S nodejs
  macOS            brew install node
  older systems    https://nodejs.org/en/download
and have `node` in the PATH.";

/// A Node.js of the PATH that is new enough.
pub(super) fn find() -> Option<PathBuf> {
    NAMES.into_iter().filter_map(find_in_path).find(|program| {
        output_of(program, &["--version"])
            .is_some_and(|told| is_new_enough(told.trim_start_matches('v')))
    })
}

/// As [`find`]; installs the system's package when that is new enough.
pub(super) fn find_or_install(packages: &Packages<'_>) -> Result<PathBuf, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if Packages::can_install() {
        let offered = packages.candidate("nodejs")?;
        if offered.is_some_and(|version| is_new_enough(&version)) {
            packages.install("install Node.js", &["nodejs"])?;
        }
    }
    find().ok_or_else(|| Failure::new("find Node.js", ADVICE, REPEAT))
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    (major, minor) >= VERSION_MIN
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["20.19.0", "20.19.2+dfsg-1", "22.1.0", "100.0.0"] {
            assert!(is_new_enough(good), "{good}");
        }
        for bad in ["", "20", "18.20.4+dfsg-1~deb12u3", "20.9.0", "twenty.19"] {
            assert!(!is_new_enough(bad), "{bad}");
        }
    }
}
