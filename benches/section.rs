//! The part of a record that a program writes.

use std::{fs, path::Path};

/// Replaces what stands between the heading, a line of the record, and the next heading of the second level.
pub fn replace(record: &Path, heading: &str, text: &str) {
    let old = fs::read_to_string(record).expect("the record");
    let heading = format!("{heading}\n");
    let (before, section) = old.split_once(&heading).expect("where the section begins");
    let after = section.find("\n## ").map_or("", |end| &section[end..]);
    fs::write(record, format!("{before}{heading}\n{text}{after}")).expect("the new record");
}

/// What Linux calls the processor, and how many threads work.
pub fn machine(n_threads: usize) -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = model.map_or("a processor", |(_, name)| name.trim());
    format!("{name}, {n_threads} threads")
}
