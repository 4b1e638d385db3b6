//! Link arguments of the shared library that hosts load.

fn main() {
    for arg in [
        "-Wl,-soname,libcinetomo.so.1",
        // Thread-local destructors of this library may run after a dlclose: it must stay mapped.
        "-Wl,-z,nodelete",
        "-Wl,-rpath,$ORIGIN",
        "-Wl,-rpath,$ORIGIN/libtorch/lib",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
