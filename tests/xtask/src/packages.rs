//! Finds programs on this machine, and installs Debian's packages where that is allowed: as root on
//! Debian and Ubuntu. It does not know what they are for.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::failure::Failure;
use crate::step::{Runner, Step};

/// Debian's scripts start what they install unless this program answers 101.
const START_POLICY: &str = "/usr/sbin/policy-rc.d";

/// What apt can install, if it may.
#[derive(Debug)]
pub(crate) struct Packages<'a> {
    /// Runs apt's commands as steps.
    pub(crate) runner: &'a Runner<'a>,
    /// Whether apt's lists were updated by us: once is enough.
    has_lists: Cell<bool>,
}

impl<'a> Packages<'a> {
    /// Nothing is updated yet.
    pub(crate) fn new(runner: &'a Runner<'a>) -> Self {
        Self {
            runner,
            has_lists: Cell::new(false),
        }
    }

    /// Whether there is apt and we may use it. Elsewhere the user has to be told what to install.
    pub(crate) fn can_install() -> bool {
        is_root() && find_in_path("apt-get").is_some()
    }

    /// Installs the packages; `name` completes "failed to …".
    pub(crate) fn install(&self, name: &'static str, packages: &[&str]) -> Result<(), Failure> {
        self.update()?;
        let _nothing_starts =
            StartPolicy::forbid().map_err(|error| Failure::new(name, error, "cargo xtask test"))?;
        let words = ["apt-get", "install", "-y", "--no-install-recommends"];
        let mut step = Step::new(name, &[&words[..], packages].concat());
        step.variables
            .push(("DEBIAN_FRONTEND", "noninteractive".to_owned()));
        self.runner.run(&step)
    }

    /// The version that would be installed.
    pub(crate) fn candidate(&self, package: &str) -> Result<Option<String>, Failure> {
        self.update()?;
        let policy = output_of("apt-cache", &["policy", package]);
        Ok(policy.as_deref().and_then(candidate_in).map(str::to_owned))
    }

    fn update(&self) -> Result<(), Failure> {
        if self.has_lists.replace(true) {
            return Ok(());
        }
        self.runner.run(&Step::new(
            "update the package lists",
            &["apt-get", "update"],
        ))
    }
}

/// Reads what `apt-cache policy` prints.
fn candidate_in(policy: &str) -> Option<&str> {
    let told = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (told != "(none)").then_some(told)
}

/// Keeps apt from starting system services, until dropped.
#[derive(Debug)]
struct StartPolicy {
    is_ours: bool,
}

impl StartPolicy {
    fn forbid() -> io::Result<Self> {
        let is_ours = !Path::new(START_POLICY).exists();
        if is_ours {
            fs::write(START_POLICY, "#!/bin/sh\nexit 101\n")?;
            let executable = Command::new("chmod").args(["755", START_POLICY]).status()?;
            if !executable.success() {
                return Err(io::Error::other("chmod failed"));
            }
        }
        Ok(Self { is_ours })
    }
}

impl Drop for StartPolicy {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = fs::remove_file(START_POLICY)
        {
            eprintln!("could not remove {START_POLICY}: {error}");
        }
    }
}

/// The first file of that name in a folder of the PATH.
pub(crate) fn find_in_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    output_of("id", &["-u"]).is_some_and(|user| user == "0")
}

/// What a program prints, without the white space around it; `None` when it fails.
pub(crate) fn output_of(program: impl AsRef<Path>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::candidate_in;

    #[test]
    fn the_candidate_is_read_from_what_apt_prints() {
        let policy =
            "nodejs:\n  Installed: (none)\n  Candidate: 20.19.2+dfsg-1\n  Version table:\n";
        assert_eq!(candidate_in(policy), Some("20.19.2+dfsg-1"));
        assert_eq!(candidate_in("nodejs:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate_in(""), None);
    }
}
