//! Which plugins a machine has, learned from their manifests without loading anything. The format is
//! `plugin-manifest/schema.json`; where manifests are looked for is in `plugin-manifest/README.md`.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use cinetomo_abi::{CINETOMO_ABI_VERSION, cinetomo_status};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;

/// What a manifest says of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The manifest itself.
    pub path: PathBuf,
    /// Name of the plugin.
    pub name: String,
    /// Release of the plugin.
    pub version: String,
    /// One line for a person who chooses; may be empty.
    pub description: String,
    /// SPDX licence expression; may be empty.
    pub license: String,
    /// Operating systems and processors that it has a library for; empty = any.
    pub platforms: Vec<String>,
    /// The shared library for this platform, an absolute path; empty if there is none.
    pub library: PathBuf,
    /// The symbol that returns the function table.
    pub entry: String,
    /// ABI versions that it serves.
    pub abi_versions: Vec<u32>,
    /// Extensions that it offers.
    pub extensions: Vec<String>,
    /// Version of libtorch that it is linked with; may be empty.
    pub libtorch: String,
}

/// The manifest that a search chose, and what it did not take, with the reasons.
#[derive(Clone, Debug)]
pub struct Found {
    /// The first manifest that this host can use.
    pub manifest: Manifest,
    /// Others that it could use, but that come later.
    pub shadowed: Vec<Manifest>,
    /// Places and manifests that it cannot use, and why.
    pub passed_over: Vec<(PathBuf, String)>,
}

/// The first plugin that this host can use: in `place`, or else in the `search_path` of the environment. The error lists
/// every place looked at and what was wrong with it.
pub fn find(place: Option<&Path>) -> Result<Found, Error> {
    match place {
        Some(place) => find_in(&[place.to_owned()]),
        None => find_in(&search_path(|name| env::var_os(name), is_privileged())),
    }
}

/// Whether the process has more rights than whoever started it (set-user-ID, capabilities): then the environment, which is
/// theirs, is not believed.
pub fn is_privileged() -> bool {
    const AT_SECURE: usize = 23; // of <elf.h>
    // The kernel's list of pairs of words; a file that a privileged process may not read, as it is not its own.
    let Ok(list) = fs::read("/proc/self/auxv") else { return true };
    let words: Vec<usize> = list
        .chunks_exact(size_of::<usize>())
        .filter_map(|word| word.try_into().ok().map(usize::from_ne_bytes))
        .collect();
    words.chunks_exact(2).any(|pair| pair[0] == AT_SECURE && pair[1] != 0)
}

/// Places where manifests may be, given the environment's variables: `CINETOMO_PLUGIN_PATH`, then the user's, then the
/// system's data directories (XDG Base Directory Specification). A privileged process ignores the variables.
pub fn search_path(variable: impl Fn(&str) -> Option<OsString>, privileged: bool) -> Vec<PathBuf> {
    let variable = |name: &str| variable(name).filter(|value| !privileged && !value.is_empty());
    let mut places: Vec<PathBuf> =
        variable("CINETOMO_PLUGIN_PATH").iter().flat_map(env::split_paths).collect();
    let user = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|directory| directory.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/share")));
    let system = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    // The specification has relative paths ignored.
    let data = user.into_iter().chain(env::split_paths(&system)).filter(|data| data.is_absolute());
    places.extend(data.map(|data| data.join("cinetomo/plugins")));
    places.retain(|place| !place.as_os_str().is_empty());
    places
}

/// The plugins in these places, each a manifest or a directory of manifests, that this host can use: the first wins.
pub fn find_in(places: &[PathBuf]) -> Result<Found, Error> {
    let mut usable: Vec<Manifest> = Vec::new();
    let mut passed_over: Vec<(PathBuf, String)> = Vec::new();
    for place in places {
        let manifests = match manifests_in(place) {
            Ok(manifests) => manifests,
            Err(reason) => {
                passed_over.push((place.clone(), reason));
                continue;
            }
        };
        for path in manifests {
            match Manifest::read(&path).and_then(|manifest| manifest.check().map(|()| manifest)) {
                Ok(manifest) if usable.iter().any(|other| other.path == manifest.path) => {}
                Ok(manifest) => usable.push(manifest),
                Err(reason) => passed_over.push((path, reason)),
            }
        }
    }
    if !usable.is_empty() {
        let shadowed = usable.split_off(1);
        return Ok(Found { manifest: usable.remove(0), shadowed, passed_over });
    }
    let list: String = passed_over
        .iter()
        .map(|(path, reason)| format!("\n  {}: {reason}", path.display()))
        .collect();
    Err(Error::new(
        cinetomo_status::Io,
        format!(
            "no usable cinetomo plugin; set CINETOMO_PLUGIN_PATH to the directory of its manifest (PREFIX/share/\
             cinetomo/plugins). Looked at:{list}"
        ),
    ))
}

fn manifests_in(place: &Path) -> Result<Vec<PathBuf>, String> {
    if !place.is_dir() {
        return if place.exists() {
            Ok(vec![place.to_owned()])
        } else {
            Err("not there".to_owned())
        };
    }
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(place).and_then(|list| list.map(|entry| Ok(entry?.path())).collect());
    let mut manifests = entries.map_err(|error| error.to_string())?;
    manifests.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    manifests.sort_unstable();
    if manifests.is_empty() { Err("no manifest (*.json) in it".to_owned()) } else { Ok(manifests) }
}

/// The file, as `schema.json` describes it.
#[derive(Deserialize)]
struct Json {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    license: String,
    platform: Option<String>,
    library: Library,
    entry: String,
    abi_versions: Vec<u32>,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    requires: Map<String, Value>,
}

/// One path, or one a platform.
#[derive(Deserialize)]
#[serde(untagged, expecting = "library is neither a path nor an object of paths by platform")]
enum Library {
    Path(String),
    ByPlatform(BTreeMap<String, String>),
}

const PLATFORMS: [&str; 2] = ["linux-x86_64", "linux-aarch64"];

fn this_platform() -> String {
    format!("{}-{}", env::consts::OS, env::consts::ARCH)
}

impl Json {
    /// The platforms that there is a library for (none = any), and the library for this one.
    fn libraries(&self) -> (Vec<String>, Option<&str>) {
        let only = self.platform.as_ref();
        match &self.library {
            Library::Path(path) => (only.cloned().into_iter().collect(), Some(path)),
            Library::ByPlatform(paths) => (
                paths
                    .keys()
                    .filter(|name| only.is_none_or(|only| only == *name))
                    .cloned()
                    .collect(),
                paths.get(&this_platform()).map(String::as_str),
            ),
        }
    }

    /// What the schema asks beyond the members' types.
    fn check(&self) -> Result<(), String> {
        let (names, paths): (Vec<&String>, Vec<&String>) = match &self.library {
            Library::Path(path) => (Vec::new(), vec![path]),
            Library::ByPlatform(paths) => paths.iter().unzip(),
        };
        let mut platforms = names.into_iter().chain(&self.platform);
        if let Some(platform) = platforms.find(|name| !PLATFORMS.contains(&name.as_str())) {
            return Err(format!("platform {platform:?} is none of {PLATFORMS:?}"));
        }
        if self.name.is_empty() {
            return Err("name is empty".to_owned());
        }
        if paths.is_empty() || paths.iter().any(|path| path.is_empty()) {
            return Err("library is empty".to_owned());
        }
        let mut parts = self.version.splitn(3, '.');
        let [major, minor, patch] = [(); 3].map(|()| parts.next().unwrap_or_default());
        if !(is_number(major)
            && is_number(minor)
            && patch.starts_with(|c: char| c.is_ascii_digit()))
        {
            return Err(format!("version {:?} is not major.minor.patch", self.version));
        }
        let is_word = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !text.starts_with(|first: char| first.is_ascii_digit())
        };
        if self.entry.is_empty() || !is_word(&self.entry) {
            return Err(format!("entry {:?} is not a C identifier", self.entry));
        }
        if self.abi_versions.is_empty() || self.abi_versions.contains(&0) {
            return Err(format!("abi_versions {:?} is not a list of versions", self.abi_versions));
        }
        for id in &self.extensions {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || b"0123456789_.".contains(&byte);
            let valid = id.split_once('/').is_some_and(|(name, revision)| {
                !name.is_empty() && name.bytes().all(is_name) && is_number(revision)
            });
            if !valid {
                return Err(format!("extension {id:?} is not of the form name/revision"));
            }
        }
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Manifest {
    /// Reads a manifest. The error is one line that says what is wrong with it.
    pub fn read(path: &Path) -> Result<Manifest, String> {
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        // By way of maps: serde would also take a list of the members' values for an object.
        let members: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match members.get("manifest_version") {
            Some(version) if version == 1 => {}
            Some(version) => {
                return Err(format!("manifest_version is {version}; this host reads version 1"));
            }
            None => return Err("member manifest_version is missing".to_owned()),
        }
        let json: Json =
            serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
        json.check()?;
        let libtorch = match json.requires.get("libtorch") {
            None => String::new(),
            Some(Value::String(version)) => version.clone(),
            Some(other) => return Err(format!("requires.libtorch is {other}, not a string")),
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        let (platforms, library) = json.libraries();
        Ok(Manifest {
            platforms,
            library: library.map(|library| directory.join(library)).unwrap_or_default(),
            name: json.name,
            version: json.version,
            description: json.description,
            license: json.license,
            entry: json.entry,
            abi_versions: json.abi_versions,
            extensions: json.extensions,
            libtorch,
            path,
        })
    }

    /// Whether this host can use the plugin: runs on its platform, speaks one of its ABI versions, finds the library.
    pub fn check(&self) -> Result<(), String> {
        let here = this_platform();
        if !self.platforms.is_empty() && !self.platforms.contains(&here) {
            return Err(format!("it is for {}; this is {here}", self.platforms.join(", ")));
        }
        if !self.abi_versions.contains(&CINETOMO_ABI_VERSION) {
            return Err(format!(
                "it speaks ABI {:?}; this host speaks ABI {CINETOMO_ABI_VERSION}",
                self.abi_versions
            ));
        }
        if !self.library.is_file() {
            return Err(format!("its library {} is not there", self.library.display()));
        }
        Ok(())
    }
}
