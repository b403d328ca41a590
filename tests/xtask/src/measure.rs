//! `cargo xtask measure`: how long our files and functions are, against the limits of the style.

use std::collections::BTreeMap;
use std::path::Path;

use xtask::functions::{FunctionKind, Outline};
use xtask::tree::{self, TextFile};

use crate::failure::Failure;

const REPEAT: &str = "cargo xtask measure";
/// Lines of the longest file.
const FILE_LINES_MAX: usize = 600;
/// Lines that nine of ten files stay within.
const FILE_LINES_P90: usize = 400;
/// Lines of the longest function, as in `clippy.toml`.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines that half of the functions stay within.
const FUNCTION_LINES_P50: usize = 15;

/// Line counts of one crate, or of all.
#[derive(Debug, Default)]
struct Sizes {
    files: Vec<usize>,
    functions: Vec<usize>,
}

/// Prints the sizes of each crate and fails when the whole is over a limit.
pub(crate) fn measure(root: &Path) -> Result<(), Failure> {
    let fail = |reason: String| Failure::new("measure", reason, REPEAT);
    let files = tree::files_ending_in(root, &[".rs"]).map_err(|error| fail(error.to_string()))?;
    let mut crates: BTreeMap<String, Sizes> = BTreeMap::new();
    let mut all = Sizes::default();
    let product = files
        .iter()
        .filter(|file| !file.is_test_code() && !file.is_generated());
    for file in product {
        let functions = function_lengths(file).map_err(&fail)?;
        let of_crate = crates.entry(crate_of(root, &file.path)).or_default();
        for sizes in [of_crate, &mut all] {
            sizes.files.push(file.line_count());
            sizes.functions.extend(&functions);
        }
    }
    print_table(&mut crates, &mut all);
    let broken = all.broken_limits();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(fail(broken.join("\n")))
    }
}

fn print_table(crates: &mut BTreeMap<String, Sizes>, all: &mut Sizes) {
    println!("lines of product code       files                    functions");
    println!("{:<24}{}  {}", "crate", HEAD, HEAD);
    for (name, sizes) in crates {
        println!("{name:<24}{}", sizes.row());
    }
    println!("{:<24}{}", "all", all.row());
}

const HEAD: &str = " count   p50   p90   max";

fn function_lengths(file: &TextFile) -> Result<Vec<usize>, String> {
    let outline = Outline::of(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
    let product = outline
        .functions
        .iter()
        .filter(|found| found.kind == FunctionKind::Product);
    Ok(product.map(|found| found.line_count).collect())
}

/// The folder of the nearest `Cargo.toml` above the file.
fn crate_of(root: &Path, path: &str) -> String {
    Path::new(path)
        .ancestors()
        .skip(1)
        .find(|folder| root.join(folder).join("Cargo.toml").is_file())
        .map_or_else(String::new, |folder| folder.display().to_string())
}

impl Sizes {
    fn row(&mut self) -> String {
        format!(
            "{}  {}",
            quantiles(&mut self.files),
            quantiles(&mut self.functions)
        )
    }

    fn broken_limits(&mut self) -> Vec<String> {
        self.files.sort_unstable();
        self.functions.sort_unstable();
        let limits = [
            (
                "the longest file",
                percentile(&self.files, 100),
                FILE_LINES_MAX,
            ),
            (
                "p90 of the files",
                percentile(&self.files, 90),
                FILE_LINES_P90,
            ),
            (
                "the longest function",
                percentile(&self.functions, 100),
                FUNCTION_LINES_MAX,
            ),
            (
                "p50 of the functions",
                percentile(&self.functions, 50),
                FUNCTION_LINES_P50,
            ),
        ];
        let over = limits
            .into_iter()
            .filter(|(_, measured, limit)| measured > limit);
        over.map(|(what, measured, limit)| format!("{what}: {measured} lines > {limit}"))
            .collect()
    }
}

fn quantiles(values: &mut [usize]) -> String {
    values.sort_unstable();
    let [p50, p90, max] = [50, 90, 100].map(|percent| percentile(values, percent));
    format!("{:>6}{p50:>6}{p90:>6}{max:>6}", values.len())
}

/// The smallest value that `percent` of the sorted values do not exceed; 0 when there are none.
fn percentile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(
            [50, 90, 100].map(|percent| percentile(&sorted, percent)),
            [5, 9, 10]
        );
        assert_eq!(percentile(&[], 90), 0);
    }
}
