//! Link arguments of the shared library that hosts load, and the version of the libtorch it is built against.

use std::{env, fs, path::PathBuf};

fn main() {
    for arg in [
        "-Wl,-soname,libcinetomo.so.1",
        // Thread-local destructors of this library may run after a dlclose: it must stay mapped.
        "-Wl,-z,nodelete",
        // Dependencies that export C functions of their own (streams of tch, bzip2) keep them to themselves.
        "-Wl,--exclude-libs,ALL",
        // RPATH and not RUNPATH: what lies beside the library comes before another libtorch in LD_LIBRARY_PATH.
        "-Wl,--disable-new-dtags",
        "-Wl,-rpath,$ORIGIN",
        "-Wl,-rpath,$ORIGIN/libtorch/lib",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
    println!("cargo:rustc-env=CINETOMO_LIBTORCH_VERSION={}", libtorch_version());
    println!("cargo:rerun-if-changed=build.rs");
}

/// Version in the headers that torch-sys was compiled with; it says where they are.
fn libtorch_version() -> String {
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names its library directory");
    let header = PathBuf::from(lib).join("../include/torch/headeronly/version.h");
    let text =
        fs::read_to_string(&header).unwrap_or_else(|error| panic!("{}: {error}", header.display()));
    ["MAJOR", "MINOR", "PATCH"]
        .map(|part| {
            let define = format!("#define TORCH_VERSION_{part} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&define))
                .unwrap_or_else(|| panic!("{} does not {define}", header.display()))
                .trim()
                .to_owned()
        })
        .join(".")
}
