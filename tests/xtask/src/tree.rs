//! Finds the files of the repository and says which of them are test code.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders that hold no text of ours.
const SKIPPED_FOLDERS: [&str; 4] = ["target", "node_modules", "gameserver-data", "vendor"];

/// One text file of the repository.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Path relative to the root of the repository, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl TextFile {
    /// Number of lines.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The lines with their numbers, starting at 1.
    pub fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Whether the whole file is test code: specs, the harness, benches, and modules whose file or
    /// folder is named `tests` or `<something>_tests`.
    #[must_use]
    pub fn is_test_code(&self) -> bool {
        let names_tests = |part: &str| {
            let name = part.strip_suffix(".rs").unwrap_or(part);
            matches!(name, "tests" | "benches") || name.ends_with("_tests")
        };
        let own = self.path.strip_prefix("tests/xtask/").unwrap_or(&self.path);
        own.split('/').any(names_tests)
    }

    /// Whether a tool wrote the file, so that the limits on size do not apply.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.path.ends_with("/generated.rs") || self.path.contains("/generated/")
    }
}

/// The root of the repository: the nearest folder with a `Cargo.lock`.
///
/// Starts at the package that Cargo runs, which is right for every worktree even when several of
/// them share one target folder.
///
/// # Errors
/// When no folder above holds a `Cargo.lock`.
pub fn repository_root() -> io::Result<PathBuf> {
    let start = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => PathBuf::from(package),
        None => env::current_dir()?,
    };
    start
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no Cargo.lock in a folder above"))
}

/// Reads every file below `root` whose name ends in one of `endings`, ordered by path.
///
/// # Errors
/// When a folder or a file cannot be read, or a file is not UTF-8.
pub fn files_ending_in(root: &Path, endings: &[&str]) -> io::Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !is_skipped(&name) {
                folders.push(entry.path());
            } else if !is_folder && endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(read(root, &entry.path())?);
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// Hidden folders belong to tools; those that are ours are named here.
fn is_skipped(name: &str) -> bool {
    let is_ours = matches!(name, ".ci" | ".config" | ".cargo" | ".github");
    SKIPPED_FOLDERS.contains(&name) || (name.starts_with('.') && !is_ours)
}

fn read(root: &Path, path: &Path) -> io::Result<TextFile> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(TextFile {
        path: parts.join("/"),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::TextFile;

    fn file(path: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: String::new(),
        }
    }

    #[test]
    fn specs_are_test_code_and_the_commands_are_not() {
        assert!(file("tests/specs/main.rs").is_test_code());
        assert!(file("web-api/src/store/contract_tests.rs").is_test_code());
        assert!(file("web-api/src/store/contract_tests/seats.rs").is_test_code());
        assert!(!file("client-sim/src/latest.rs").is_test_code());
        assert!(!file("tests/xtask/src/tree.rs").is_test_code());
        assert!(!file("server/src/lib.rs").is_test_code());
    }
}
