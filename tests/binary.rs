//! The shared library as the dynamic loader sees it, and the rule that every export obeys.

use std::{collections::BTreeSet, env, fs, process::Command};

use cinetomo_tests::{library, root};

fn output(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{command} (package binutils or gcc): {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn golden(name: &str) -> String {
    fs::read_to_string(root().join("tests/golden").join(name)).expect("a golden file")
}

/// Compares with a golden file. `CINETOMO_UPDATE_GOLDEN=1` writes it anew: look at what has changed before you commit it,
/// as hosts depend on every line but new ones.
fn assert_golden(name: &str, found: &str) {
    if env::var_os("CINETOMO_UPDATE_GOLDEN").is_some() {
        fs::write(root().join("tests/golden").join(name), found).expect("a golden file is written");
    }
    assert_eq!(found, golden(name));
}

#[test]
fn exports_are_the_golden_list() {
    let library = library();
    let symbols: BTreeSet<String> =
        output("nm", &["-D", "--defined-only", "--format=posix", library.to_str().expect("UTF-8")])
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect();
    let symbols: Vec<String> = symbols.into_iter().collect();
    assert_golden("symbols.txt", &(symbols.join("\n") + "\n"));
}

#[test]
fn the_loader_finds_what_it_needs_and_keeps_it() {
    let library = library();
    let dynamic = output("readelf", &["-d", library.to_str().expect("UTF-8")]);
    let values = |tag: &str| -> Vec<&str> {
        dynamic
            .lines()
            .filter(|line| line.contains(tag))
            .filter_map(|line| line.split(['[', ']']).nth(1))
            .collect()
    };
    assert_eq!(values("(SONAME)"), ["libcinetomo.so.1"]);
    assert_eq!(values("(RPATH)"), ["$ORIGIN:$ORIGIN/libtorch/lib"]);
    assert!(dynamic.lines().any(|line| line.contains("(FLAGS_1)") && line.contains("NODELETE")));
    let needed: BTreeSet<&str> = values("(NEEDED)").into_iter().collect();
    let expected = [
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libc10.so",
        "libgcc_s.so.1",
        "libm.so.6",
        "libstdc++.so.6",
        "libtorch_cpu.so",
    ];
    assert_eq!(needed, BTreeSet::from(expected), "CUDA must stay a thing of run time");
}

#[test]
fn structs_are_laid_out_as_the_golden_list_says() {
    let header = fs::read_to_string(root().join("include/cinetomo.h")).expect("the header");
    let mut program =
        String::from("#include <stdio.h>\n#include \"cinetomo.h\"\nint main(void) {\n");
    for definition in header.split("typedef struct ").skip(1) {
        let Some((name, rest)) = definition.split_once(" {\n") else { continue };
        let body = rest.split_once("\n} ").expect("the end of a struct").0;
        program += &format!("  printf(\"{name} %zu\\n\", sizeof({name}));\n");
        for field in fields(body) {
            program += &format!("  printf(\"  {field} %zu\\n\", offsetof({name}, {field}));\n");
        }
    }
    program += "}\n";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (source, executable) = (directory.path().join("layout.c"), directory.path().join("layout"));
    fs::write(&source, program).expect("a source file");
    let include = format!("-I{}", root().join("include").display());
    let [source, executable] = [&source, &executable].map(|path| path.to_str().expect("UTF-8"));
    output("gcc", &["-std=c99", &include, source, "-o", executable]);
    assert_golden("layout.txt", &output(executable, &[]));
}

/// Names of the fields in the body of a C struct.
fn fields(body: &str) -> Vec<&str> {
    let mut code = String::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").expect("the end of a comment").1;
    }
    code += rest;
    let names = code.split(';').filter_map(|declaration| {
        let declaration = declaration.trim();
        let name = match declaration.split_once("(*") {
            Some((_, pointer)) => pointer.split(')').next()?,
            None => declaration.split('[').next()?.rsplit([' ', '*']).next()?,
        };
        (!name.is_empty()).then_some(name)
    });
    // The names live in the header text, not in the copy without comments.
    names
        .map(|name| {
            let start = body.find(name).expect("a field of this body");
            &body[start..start + name.len()]
        })
        .collect()
}

#[test]
fn rust_and_c_agree_on_sizes() {
    use cinetomo_abi::*;
    let layout = golden("layout.txt");
    macro_rules! check {
        ($($type:ident)*) => {$(
            let line = format!("{} {}", stringify!($type), size_of::<$type>());
            assert!(layout.lines().any(|golden| golden == line), "{line}");
        )*};
    }
    check!(cinetomo_api cinetomo_calibration_options cinetomo_class_metrics cinetomo_confidence
        cinetomo_context_options cinetomo_dataset cinetomo_dataset_api cinetomo_extract_options cinetomo_fine_tune_options cinetomo_grad_cam_options cinetomo_hooks
        cinetomo_metrics cinetomo_model_info cinetomo_model_options cinetomo_pick_api
        cinetomo_pick_options cinetomo_predictions cinetomo_preprocess cinetomo_progress cinetomo_project2d_api cinetomo_separation cinetomo_tsne_options
        cinetomo_reliability_bin cinetomo_roc_point cinetomo_runtime_info cinetomo_split_options
        cinetomo_synthetic_api cinetomo_synthetic_options cinetomo_synthetic_particle
        cinetomo_threshold cinetomo_tomogram cinetomo_volume);
    let n_structs = layout.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(n_structs, 32, "a struct is missing in this list");
}

#[test]
fn every_export_is_one_boundary_expression() {
    let mut n_exports = 0;
    for entry in fs::read_dir(root().join("src/plugin/boundary")).expect("the boundary") {
        let path = entry.expect("an entry").path();
        let file = syn::parse_file(&fs::read_to_string(&path).expect("a source file"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for item in file.items {
            let syn::Item::Fn(function) = item else { continue };
            if function.sig.abi.is_none() {
                continue;
            }
            n_exports += 1;
            let name = &function.sig.ident;
            assert!(
                is_boundary(&function.block),
                "{}: {name} must be one expression that calls a guard",
                path.display()
            );
        }
    }
    let n_flat = golden("symbols.txt").lines().filter(|line| line.starts_with("cinetomo_")).count();
    assert!(n_exports >= n_flat, "{n_exports} guarded functions, {n_flat} exported ones");
}

/// Whether a block is a single call of the guard, in an unsafe block or not.
fn is_boundary(block: &syn::Block) -> bool {
    let [syn::Stmt::Expr(expression, None)] = block.stmts.as_slice() else { return false };
    match expression {
        syn::Expr::Unsafe(inner) => is_boundary(&inner.block),
        syn::Expr::Call(call) => matches!(
            call.func.as_ref(),
            syn::Expr::Path(path) if path.path.segments.last().is_some_and(|last| {
                ["boundary", "boundary_or", "boundary_after_fork"].iter().any(|guard| last.ident == guard)
            })
        ),
        _ => false,
    }
}
