//! The clients in other languages: the programs they need, and their own tests.
//!
//! Those tests need no server. `cli/sample/tests/specs/clients.rs` runs the clients against the
//! binary; here it is only told where the programs are.

mod chromium;
mod node;
mod python;

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::failure::Failure;
use crate::packages::Packages;
use crate::step::{Runner, Step};

const REPEAT: &str = "cargo xtask test";
const JAVASCRIPT_TESTS: &str = "sdk/javascript/tests";
const PYTHON_TESTS: &str = "tests/python";

/// The programs that run the clients.
#[derive(Debug)]
pub(crate) struct Clients {
    python: PathBuf,
    node: PathBuf,
    chromium: PathBuf,
}

impl Clients {
    /// Finds all of them, after installing them if need be and possible.
    pub(crate) fn find_or_install(packages: &Packages<'_>) -> Result<Self, Failure> {
        Ok(Self {
            node: node::find_or_install(packages)?,
            chromium: chromium::find_or_install(packages)?,
            python: python::find_or_install(packages)?,
        })
    }

    /// Runs the tests that the clients bring along.
    pub(crate) fn test(&self, runner: &Runner<'_>) -> Result<(), Failure> {
        let python = self.python.display().to_string();
        runner.run(&Step::new(
            "test the Python client",
            &[&python, "-m", "unittest", "discover", "-s", PYTHON_TESTS],
        ))?;
        let name = "test the JavaScript client";
        let files = test_files(runner.root, JAVASCRIPT_TESTS)
            .map_err(|error| Failure::new(name, error, REPEAT))?;
        let node = self.node.display().to_string();
        // Node 20 has WebSocket only with the flag, and reads no patterns.
        let mut words = vec![&*node, "--experimental-websocket", "--test"];
        words.extend(files.iter().map(String::as_str));
        runner.run(&Step::new(name, &words))
    }

    /// How the specs find the programs.
    pub(crate) fn variables(self) -> Vec<(&'static str, String)> {
        variables([Some(self.python), Some(self.node), Some(self.chromium)])
    }
}

/// As [`Clients::variables`], of what is there: nothing is installed.
pub(crate) fn variables_of_what_is_there(root: &Path) -> Vec<(&'static str, String)> {
    variables([python::find(root), node::find(), chromium::find()])
}

fn variables([python, node, chromium]: [Option<PathBuf>; 3]) -> Vec<(&'static str, String)> {
    let found = [
        ("GAMESERVER_TEST_PYTHON", python),
        ("GAMESERVER_TEST_NODE", node),
        ("GAMESERVER_TEST_CHROMIUM", chromium),
    ];
    found
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?.display().to_string())))
        .collect()
}

/// Paths of the files `*.test.js` in a folder of the repository, in order.
fn test_files(root: &Path, folder: &str) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.js") {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{JAVASCRIPT_TESTS, test_files, variables};

    #[test]
    fn the_tests_of_the_javascript_client_are_found() {
        let root = xtask::tree::repository_root().unwrap();
        let files = test_files(&root, JAVASCRIPT_TESTS).unwrap();
        assert!(files.contains(&format!("{JAVASCRIPT_TESTS}/vectors.test.js")));
        assert!(!files.iter().any(|file| file.contains("support")));
    }

    #[test]
    fn only_programs_that_are_there_are_named() {
        assert_eq!(variables([None, None, None]), []);
        let named = variables([None, Some("/usr/bin/node".into()), None]);
        assert_eq!(
            named,
            [("GAMESERVER_TEST_NODE", "/usr/bin/node".to_owned())]
        );
    }
}
