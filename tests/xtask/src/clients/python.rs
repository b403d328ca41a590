//! A Python with the packages that the client needs, in a folder of its own: the machine's Python
//! is left as it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::REPEAT;
use crate::failure::Failure;
use crate::packages::{Packages, find_in_path, output_of};
use crate::step::Step;

const FOLDER: &str = "target/python";
const PROGRAM: &str = "target/python/bin/python";
const REQUIREMENTS: &str = "tests/python/requirements.txt";
/// A copy of the requirements, written when all of them are installed.
const INSTALLED: &str = "target/python/installed.txt";
/// Debian ships `ensurepip` in a package of its own.
const CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
const ADVICE: &str = "\
The Python client needs Python 3.11 or newer with venv. Install it:
  Debian, Ubuntu   sudo apt-get install -y python3 python3-venv
  Fedora           sudo dnf install -y python3
  Arch             sudo pacman -S python
  macOS            brew install python
Its packages go to target/python: cargo xtask installs them itself.";

/// The Python that has what the requirements ask for today.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let program = root.join(PROGRAM);
    let wanted = fs::read(root.join(REQUIREMENTS)).ok()?;
    let installed = fs::read(root.join(INSTALLED)).ok()?;
    (wanted == installed && program.is_file()).then_some(program)
}

/// As [`find`]; what is missing or old is made anew.
pub(super) fn find_or_install(packages: &Packages<'_>) -> Result<PathBuf, Failure> {
    let root = packages.runner.root;
    if let Some(found) = find(root) {
        return Ok(found);
    }
    let system = system_python_or_install(packages)?.display().to_string();
    packages.runner.run(&Step::new(
        "make a folder for Python's packages",
        &[&system, "-m", "venv", "--clear", FOLDER],
    ))?;
    let program = root.join(PROGRAM);
    let words = ["-m", "pip", "install", "--disable-pip-version-check"];
    let options = ["--quiet", "--require-hashes", "-r", REQUIREMENTS];
    packages.runner.run(&Step::new(
        "install Python's packages",
        &[&[&*program.display().to_string()], &words[..], &options].concat(),
    ))?;
    fs::copy(root.join(REQUIREMENTS), root.join(INSTALLED)).map_err(fail)?;
    Ok(program)
}

fn system_python_or_install(packages: &Packages<'_>) -> Result<PathBuf, Failure> {
    if let Some(found) = system_python() {
        return Ok(found);
    }
    if !Packages::can_install() {
        return Err(fail(ADVICE));
    }
    packages.install("install Python", &["python3", "python3-venv"])?;
    system_python().ok_or_else(|| fail(ADVICE))
}

/// The one of the PATH, or else that of the system: apt can only install the latter.
fn system_python() -> Option<PathBuf> {
    let candidates = [
        find_in_path("python3"),
        Some(PathBuf::from("/usr/bin/python3")),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|program| output_of(program, &["-c", CHECK]).is_some())
}

fn fail(reason: impl ToString) -> Failure {
    Failure::new("find Python", reason.to_string(), REPEAT)
}
