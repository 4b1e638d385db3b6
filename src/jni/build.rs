//! A class loader that goes takes its native libraries along; ours stays, as threads may still have code of it to run when
//! they end.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
