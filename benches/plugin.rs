//! The library that is measured.

use std::path::Path;

use cinetomo_host::{Context, Plugin};

/// A context of it on so many CPU threads; 0 = one per core.
pub fn context(library: &Path, n_threads: i32) -> Context {
    let plugin = Plugin::open(library, "cinetomo_get_api").expect("the plugin");
    let mut options = plugin.context_options();
    options.n_threads = n_threads;
    plugin.context(options).expect("a context")
}
