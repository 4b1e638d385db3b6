//! A run: the plugin, where it computes, and what the user sees of it.

use std::{env, path::Path};

use cinetomo_host::{Cancel, Context, Hooks, Manifest, Plugin, Progress, manifest};

use crate::{
    args::Global,
    console::{Bar, Console},
    failure::{Failure, Result},
    interrupt,
};

/// The symbol that a library's table comes from, where no manifest names another.
const ENTRY: &str = "cinetomo_get_api";

/// Where an installed tree has its manifests.
const PLUGINS: &str = "share/cinetomo/plugins";

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
            // A name without a directory would be looked for elsewhere by the dynamic linker.
            let library = library.canonicalize().map_err(|error| Failure::at(library, error))?;
            Plugin::open(&library, ENTRY)?
        }
        place => Plugin::load(&find(place)?)?,
    })
}

/// The manifest in this place, or the first in the places of the search: `CINETOMO_PLUGIN_PATH`, the tree that this
/// command is installed in, the user's and the system's data directories.
///
/// # Errors
/// There is none that this host can use.
pub fn find(place: Option<&Path>) -> Result<Manifest> {
    if let Some(place) = place {
        return Ok(manifest::find(Some(place))?.manifest);
    }
    let privileged = manifest::is_privileged();
    let mut places = manifest::search_path(|name| env::var_os(name), privileged);
    let first = env::var_os("CINETOMO_PLUGIN_PATH").filter(|_| !privileged).unwrap_or_default();
    let n_first = env::split_paths(&first).filter(|place| !place.as_os_str().is_empty()).count();
    let command = env::current_exe().and_then(|command| command.canonicalize());
    let tree = command.ok().and_then(|command| Some(command.parent()?.parent()?.join(PLUGINS)));
    places.splice(n_first..n_first, tree.filter(|tree| tree.is_dir()));
    Ok(manifest::find_in(&places)?.manifest)
}
