//! What `make install` leaves behind: a tree that may be moved, and that C, C++, CMake and pkg-config users can use
//! without any environment variable. The examples are built from it, without warnings, and run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_host::{Hooks, ModelOptions, Plugin, Volume, abi::CINETOMO_ABI_VERSION, manifest};
use cinetomo_tests::{alone, library, prefix, root, run};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn pkg_config(question: &[&str]) -> Vec<String> {
    let text = run(alone("pkg-config")
        .args(question)
        .arg("cinetomo")
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")));
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_tree_is_complete_and_consistent() {
    let version = env!("CARGO_PKG_VERSION");
    let library = prefix().join("lib/libcinetomo.so").canonicalize().expect("the links lead on");
    let name = format!("libcinetomo.so.{CINETOMO_ABI_VERSION}.{version}");
    assert_eq!(library.file_name().expect("a name"), name.as_str());
    assert_eq!(pkg_config(&["--modversion"]), [version]);
    let headers = fs::read_dir(root().join("include/cinetomo")).expect("headers");
    let headers = headers.map(|entry| entry.expect("an entry").file_name());
    let headers = headers.map(|name| Path::new("cinetomo").join(name));
    for header in headers.chain(["cinetomo.h", "cinetomo.hpp"].map(PathBuf::from)) {
        let installed = fs::read(prefix().join("include").join(&header)).expect("a header");
        let ours = fs::read(root().join("include").join(&header)).expect("a header");
        assert!(installed == ours, "{}", header.display());
    }

    let found = manifest::find(Some(&prefix().join("share/cinetomo/plugins"))).expect("a manifest");
    assert_eq!(found.manifest.version, version);
    assert_eq!(found.manifest.library.canonicalize().expect("the library"), library);
    assert_eq!(Plugin::load(&found.manifest).expect("the plugin").version(), version);
    for file in ["lib/pkgconfig/cinetomo.pc", "lib/cmake/cinetomo/cinetomo-config.cmake"] {
        let text = fs::read_to_string(prefix().join(file)).expect(file);
        assert!(!text.contains('@') && !text.contains("/opt/lab"), "{file}:\n{text}");
    }
}

/// Whoever gets a binary learns nothing of the machine that made it, and two machines make more nearly the same.
#[test]
fn binaries_name_no_folder_of_the_builder() {
    let home = env::var("HOME").expect("HOME");
    let cargo = env::var("CARGO_HOME").unwrap_or(format!("{home}/.cargo"));
    let torch = env::var("LIBTORCH").unwrap_or(root().join(".libtorch").display().to_string());
    let real = fs::canonicalize(&torch).expect("libtorch");
    let mut folders = vec![cargo, torch, root().display().to_string(), format!("{home}/.cache")];
    folders.push(real.to_str().expect("UTF-8").to_owned());
    let built = fs::read(library()).expect("the library");
    let shipped = fs::read(prefix().join("lib/libcinetomo.so")).expect("the library");
    let n = |text: &str, binary: &[u8]| {
        binary.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    };
    assert!(folders.iter().any(|folder| n(folder, &built) > 0), "nothing was there to be removed");
    for folder in folders {
        assert_eq!(n(&folder, &shipped), 0, "{folder}");
    }
    let sections = run(alone("readelf").arg("-SW").arg(prefix().join("lib/libcinetomo.so")));
    assert!(!sections.contains("build-id"), "it is a sum over the builder's folders: {sections}");
}

#[test]
fn make_install_hands_prefix_and_destdir_on() {
    let recipe = run(Command::new("make")
        .args(["--dry-run", "--no-print-directory", "install", "PREFIX=/a", "DESTDIR=/b"])
        .env_remove("MAKEFLAGS")
        .current_dir(root()));
    assert!(recipe.ends_with("src/setup/install.sh \"/a\" \"/b\"\n"), "{recipe}");
    let output = Command::new(root().join("src/setup/install.sh")).arg("relative").output();
    assert_eq!(output.expect("install.sh runs").status.code(), Some(2));
}

/// The C examples, by pkg-config: a model of the Rust host is used from C, and both say the same.
#[test]
fn the_c_examples_compile_and_classify() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let flags = pkg_config(&["--cflags", "--libs"]);
    let source = |name: &str| root().join("examples/c").join(name);
    run(alone("gcc")
        .arg("-std=c99")
        .args(WARNINGS)
        .arg(source("classify.c"))
        .arg("-o")
        .arg(at("classify"))
        .args(&flags)
        .arg(format!("-Wl,-rpath,{}", prefix().join("lib").display())));
    run(alone("gcc")
        .args(["-std=c99", "-c", "-o"])
        .arg(at("quickstart.o"))
        .args(WARNINGS)
        .arg(source("quickstart.c"))
        .args(&flags));

    let plugin = Plugin::find(Some(&prefix().join("share/cinetomo/plugins"))).expect("the plugin");
    let context = plugin.context(plugin.context_options()).expect("a context");
    let synthetic = context.synthetic().expect("the extension");
    let options = synthetic.options().expect("options");
    let voxels =
        synthetic.simulate(None, &[0, 1, 2], &options, Hooks::none()).expect("subtomograms");
    let edge = options.box_size;
    let model = context
        .model_random(&ModelOptions::new(["aldolase", "ferritin", "proteasome"]))
        .expect("a model");
    model.save(at("model.safetensors")).expect("the model is saved");
    let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    fs::write(at("boxes.f32"), bytes).expect("a file of voxels");

    let printed = run(alone(at("classify")).args([
        at("model.safetensors").as_os_str(),
        at("boxes.f32").as_os_str(),
        edge.to_string().as_ref(),
    ]));
    let volume = Volume::new(&voxels, [3, edge, edge, edge]).expect("a volume");
    let scores = model.classify(&volume, Hooks::none()).expect("scores");
    let names = model.info().expect("info").class_names;
    let expected: String = scores
        .chunks(names.len())
        .enumerate()
        .map(|(index, row)| {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("classes");
            format!("{index} {} {:.4}\n", names[best], row[best])
        })
        .collect();
    assert_eq!(printed, expected);

    let usage = alone(at("classify")).output().expect("classify runs");
    assert_eq!(usage.status.code(), Some(2));
    let missing = alone(at("classify"))
        .args([at("none.safetensors").as_os_str(), at("boxes.f32").as_os_str(), "32".as_ref()])
        .output()
        .expect("classify runs");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none.safetensors"));
    fs::write(at("odd.f32"), [0; 4 * 4096 + 1]).expect("a file of voxels");
    let odd = alone(at("classify"))
        .args([at("model.safetensors").as_os_str(), at("odd.f32").as_os_str(), "16".as_ref()])
        .output()
        .expect("classify runs");
    assert_eq!(odd.status.code(), Some(1));
    let said = String::from_utf8_lossy(&odd.stderr);
    assert!(said.contains("odd.f32 has 16385 bytes; expected a multiple of 16384"), "{said}");
    // /dev/full takes nothing.
    let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let lost = alone(at("classify"))
        .args([at("model.safetensors").as_os_str(), at("boxes.f32").as_os_str()])
        .arg(edge.to_string())
        .stdout(full)
        .output()
        .expect("classify runs");
    assert_eq!(lost.status.code(), Some(1));
}
