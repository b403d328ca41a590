//! Builds again when a file is added to a folder that is embedded: the macro that embeds them names
//! only those that were there.

fn main() {
    for folder in ["../assets/console", "../sdk/javascript"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
