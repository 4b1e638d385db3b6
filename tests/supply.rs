//! What the sources are made of: how much of them is `unsafe`, why each place is sound, and where everything comes from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cinetomo_tests::root;

/// Folders of crates that may say `unsafe`, and how often at most: fewer is welcome, more is a decision. Functions that are
/// `unsafe` to call are counted, too; types of function pointers, which the contract is made of, are not.
const UNSAFE: [(&str, usize); 5] = [
    ("src/abi", 0),
    ("src/host", 90),
    ("src/jni", 6),
    ("src/plugin/boundary", 220),
    ("src/tensors", 2),
];

/// Every Rust source below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// A line without its comment; texts with two slashes do not occur beside `unsafe`.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether a line begins something unsafe, other than naming the type of a function pointer.
fn is_unsafe(line: &str) -> bool {
    code(line).match_indices("unsafe").any(|(start, word)| {
        let rest = code(line)[start + word.len()..].trim_start();
        // Attributes (`#[unsafe(no_mangle)]`) and lints.
        if rest.starts_with('(') || rest.starts_with('_') {
            return false;
        }
        // A function with a name, not the type of one.
        let pointer = rest.strip_prefix("extern \"C\" fn").or(rest.strip_prefix("fn"));
        pointer.is_none_or(|after| !after.starts_with('('))
    })
}

/// Whether the reason stands at the place or right above: `SAFETY:`, or `# Safety` of a function's documentation.
fn is_explained(lines: &[&str], index: usize) -> bool {
    // Up to the end of the statement before this one.
    let above = lines[..index].iter().rev().take_while(|line| {
        line.trim_start().starts_with("//") || !line.trim_end().ends_with([';', '}', '{'])
    });
    let is_reason = |line: &&str| line.contains("SAFETY:") || line.contains("# Safety");
    let block = lines[index].trim_end().ends_with('{').then(|| lines.get(index + 1)).flatten();
    above.chain([&lines[index]]).chain(block).any(is_reason)
}

#[test]
fn unsafe_code_is_little_and_each_place_says_why_it_is_sound() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_unsafe(line)) {
            let place = format!("{}:{}", path.display(), index + 1);
            let home = UNSAFE.iter().find(|(folder, _)| path.starts_with(root().join(folder)));
            let (folder, _) = home.unwrap_or_else(|| panic!("{place}: unsafe has no place here"));
            *counts.entry(folder).or_default() += 1;
            // What C calls: what a caller owes is said once, at the top of the header.
            let is_for_c = code(line).contains("unsafe extern \"C\" fn ");
            assert!(is_for_c || is_explained(&lines, index), "{place}: no SAFETY line: {line}");
        }
    }
    for (folder, most) in UNSAFE {
        let n = counts.get(folder).copied().unwrap_or(0);
        println!("{folder}: unsafe in {n} places");
        assert!(n <= most, "{folder}: unsafe in {n} places, {most} were enough before");
    }
}

#[test]
fn every_other_crate_forbids_it() {
    for (crate_root, lint) in [
        ("src/checkpoints/lib.rs", "#![forbid(unsafe_code)]"),
        ("src/kernels/lib.rs", "#![forbid(unsafe_code)]"),
        ("src/formats/lib.rs", "#![forbid(unsafe_code)]"),
        ("src/cli/main.rs", "#![forbid(unsafe_code)]"),
        // But for its boundary, which allows it.
        ("src/plugin/lib.rs", "#![deny(unsafe_code)]"),
    ] {
        let text = fs::read_to_string(root().join(crate_root)).expect("the root of a crate");
        assert!(text.lines().any(|line| line == lint), "{crate_root}: {lint} is missing");
    }
}

/// Every package is the registry's and its contents are pinned by a sum.
#[test]
fn locked_dependencies_are_the_registrys() {
    for lock in ["Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).expect("a lock file");
        let mut n = 0;
        for package in text.split("[[package]]").skip(1) {
            let name = package.lines().find(|line| line.starts_with("name")).expect("a name");
            if !package.contains("\nsource = ") {
                assert!(name.contains("\"cinetomo"), "{lock}: {name} has no source");
                continue;
            }
            n += 1;
            assert!(package.contains("\nsource = \"registry+"), "{lock}: {name}");
            assert!(package.contains("\nchecksum = \""), "{lock}: {name} has no checksum");
        }
        assert!(n > 5, "{lock}: {n} packages");
    }
}
