//! A run: the plugin, where it computes, and what the user sees of it.

use std::path::Path;

use cinetomo_host::{Cancel, Context, Hooks, Plugin, Progress};

use crate::{
    args::Global,
    console::{Bar, Console},
    failure::Result,
    interrupt,
};

/// The symbol that a library's table comes from, where no manifest names another.
const ENTRY: &str = "cinetomo_get_api";

/// A loaded plugin with a context.
pub struct Session {
    /// The plugin.
    pub plugin: Plugin,
    /// Where it computes.
    pub context: Context,
    /// Where messages go.
    pub console: Console,
    cancel: &'static Cancel,
}

impl Session {
    /// Loads the plugin that the options name and makes a context.
    ///
    /// # Errors
    /// There is no plugin, it does not load, or the device is not usable.
    pub fn start(global: &Global, console: &Console) -> Result<Session> {
        let plugin = load(global.plugin.as_deref())?;
        let cancel = interrupt::cancel(|| Ok(plugin.cancel()?))?;
        let log = console.clone();
        let mut options = plugin
            .context_options()
            .log(console.level(), move |level, message| log.log(level, message));
        options.device = global.device.number();
        options.device_index = global.device_index;
        options.n_threads = global.threads;
        let context = plugin.context(options)?;
        Ok(Session { plugin, context, console: console.clone(), cancel })
    }

    /// Makes a call of the plugin that shows its progress in `bar` and that Ctrl-C stops.
    ///
    /// # Errors
    /// Those of the call; it was stopped.
    pub fn call<T>(
        &self,
        bar: &Bar,
        call: impl FnOnce(Hooks<'_>) -> Result<T, cinetomo_host::Error>,
    ) -> Result<T> {
        interrupt::check()?;
        let mut show = |progress: &Progress| bar.show(progress);
        Ok(call(Hooks::progress(&mut show).cancel(self.cancel))?)
    }
}

/// The plugin in this place, or the one that a search finds.
///
/// # Errors
/// There is none, or it does not load.
pub fn load(place: Option<&Path>) -> Result<Plugin> {
    let is_library = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && (name.ends_with(".so") || name.contains(".so."))
    };
    Ok(match place {
        Some(library) if is_library(library) => {
            Plugin::open(&library.canonicalize().unwrap_or(library.to_owned()), ENTRY)?
        }
        place => Plugin::find(place)?,
    })
}
