//! The archive of `make dist`: unpacked into a root that holds nothing but it, libtorch's five files and the system's C and C++
//! libraries, a host that was compiled against it works.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_host::{ModelOptions, Plugin};
use cinetomo_tests::{alone, is_root, library, root, run};

/// What CPU-only installations need of libtorch.
const LIBTORCH: [&str; 5] =
    ["libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"];

/// What may come from the system: glibc, and the run-time libraries of gcc.
const SYSTEM: [&str; 10] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

fn pack(folder: &Path) -> PathBuf {
    let script = root().join("src/setup/dist.sh");
    let said = run(Command::new(script).arg(folder).env("CINETOMO_LIBRARY", library()));
    PathBuf::from(said.trim_end())
}

/// Files of libtorch by their names, wherever the packages have them.
fn libtorch(name: &str) -> PathBuf {
    let lib =
        std::env::var_os("LIBTORCH").map_or(root().join(".libtorch"), PathBuf::from).join("lib");
    let lib = lib.canonicalize().expect("libtorch: run `make setup`");
    [lib.join(name), lib.join("../../nvidia/cu13/lib").join(name)]
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("libtorch has no {name}"))
}

/// The list of parts names, with its checksum, whatever the licences name, and nothing else but libtorch.
fn check_parts(path: &Path, notices: &str) {
    let text = fs::read_to_string(path).expect("the list of parts");
    let parts: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&parts["bomFormat"], &parts["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let mut found: Vec<String> = Vec::new();
    for part in parts["components"].as_array().expect("components") {
        let text = |key: &str| part[key].as_str().unwrap_or_else(|| panic!("{key} of {part}"));
        if text("purl") == "pkg:pypi/torch@2.13.0" {
            continue;
        }
        let hash = part["hashes"][0]["content"].as_str().expect("a checksum");
        assert!(hash.len() == 64 && part["licenses"][0]["expression"].is_string(), "{part}");
        found.push(format!("{} {}", text("name"), text("version")));
    }
    let lines = notices.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    let named: Vec<&str> = lines.map(|(name, _)| name).collect();
    assert_eq!(found, named);
    let edges = parts["dependencies"].as_array().expect("dependencies");
    let ours = edges.iter().find(|edge| edge["ref"] == "pkg:cargo/cinetomo@0.1.0");
    let ours = ours.expect("the library")["dependsOn"].as_array().expect("a list");
    assert!(ours.contains(&"pkg:cargo/tch@0.26.0".into()), "{ours:?}");
}

fn place(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

#[test]
fn the_archive_needs_nothing_but_libtorch() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let archive = pack(&directory.path().join("first"));
    let again = pack(&directory.path().join("second"));
    assert!(fs::read(&archive).expect("an archive") == fs::read(again).expect("an archive"));

    let clean = directory.path().join("root");
    let opt = clean.join("opt");
    fs::create_dir_all(&opt).expect("a folder");
    run(alone("tar").arg("-xzf").arg(&archive).arg("-C").arg(&opt));
    let name = format!("cinetomo-{}-linux-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let tree = opt.join(&name);
    let readme = fs::read_to_string(tree.join("README")).expect("README");
    assert!(readme.contains("libtorch 2.13.0") && !readme.contains('@'), "{readme}");
    let notices = fs::read_to_string(tree.join("share/doc/cinetomo/LICENSES-OF-OTHERS.md"));
    let notices = notices.expect("the licences of what is linked");
    for name in ["tch", "safetensors", "rand_chacha", "abi_stable"] {
        assert!(notices.contains(&format!("\n- {name} ")), "{name} is not in the licences");
    }
    assert!(!notices.contains("\n- cbindgen "), "cbindgen is a tool");
    check_parts(&tree.join("share/doc/cinetomo/sbom.cdx.json"), &notices);
    for file in LIBTORCH {
        assert!(readme.contains(file), "{file} is not in {readme}");
        place(&libtorch(file), &tree.join("lib/libtorch/lib").join(file));
    }

    let host = tree.join("bin/classify");
    fs::create_dir_all(tree.join("bin")).expect("a folder");
    run(alone("gcc")
        .args(["-std=c99", "-Wl,-rpath,$ORIGIN/../lib"])
        .arg(tree.join("share/doc/cinetomo/examples/c/classify.c"))
        .arg(format!("-I{}", tree.join("include").display()))
        .arg(format!("-L{}", tree.join("lib").display()))
        .args(["-lcinetomo", "-o"])
        .arg(&host));

    // What the dynamic linker takes for it: from the tree, or from the short list.
    let list = run(alone("ldd").arg(&host));
    for line in list.lines().filter(|line| line.contains('/')) {
        let path = line.split_whitespace().find(|word| word.starts_with('/')).expect("a path");
        let path = Path::new(path);
        if path.starts_with(&tree) {
            continue;
        }
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(SYSTEM.contains(&file), "{file} comes from the system: {list}");
        place(
            &path.canonicalize().expect("the file"),
            &clean.join(path.strip_prefix("/").expect("absolute")),
        );
    }

    // A model and boxes, by the Rust host of this test.
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin");
    let context = plugin.context(plugin.context_options()).expect("a context");
    let model = context.model_random(&ModelOptions::new(["a", "b"])).expect("a model");
    model.save(clean.join("model.safetensors")).expect("the model is saved");
    let voxels = (0..2 * 16 * 16 * 16).flat_map(|i| ((i * 7919 % 101) as f32).to_le_bytes());
    fs::write(clean.join("boxes.f32"), voxels.collect::<Vec<u8>>()).expect("a file of voxels");

    let inside = format!("/opt/{name}/bin/classify");
    let is_root = is_root();
    // Others may call themselves root in a name space of their own.
    let mut command = Command::new(if is_root { "chroot" } else { "unshare" });
    if !is_root {
        command.args(["--map-root-user", "chroot"]);
    }
    let said = run(command
        .arg(&clean)
        .args([&inside, "/model.safetensors", "/boxes.f32", "16"])
        .env_clear()
        // Without /proc the dynamic linker does not know where $ORIGIN is.
        .env("LD_ORIGIN_PATH", format!("/opt/{name}/bin"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
    assert!(said.starts_with("0 ") && said.lines().count() == 2, "{said}");
}
