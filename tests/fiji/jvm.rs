//! The Java API: what a Java program may do wrong without killing the JVM, and what it says of the contract.

use std::{collections::BTreeSet, env, fs, process::Command};

use cinetomo_host::ModelOptions;
use cinetomo_tests::root;

use crate::{Installation, clean, output, run};

#[test]
fn nothing_that_java_does_kills_the_jvm() {
    let installation = Installation::get();
    let folder = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(clean(installation.program("Hostile").arg(folder.path())), "ok\n");
}

#[test]
fn what_stands_around_training_is_right_in_java() {
    let installation = Installation::get();
    // In an environment of its own, in which other libraries pretend to be libtorch.
    let decoys = tempfile::tempdir().expect("a temporary directory");
    for name in ["libc10.so", "libtorch_cpu.so", "libcinetomo.so.1"] {
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(decoys.path().join(name));
        run(&mut compiler);
    }
    let mut java = installation.program("Api");
    java.env_clear()
        .env("PATH", env::var_os("PATH").expect("PATH"))
        .env("CINETOMO_PLUGIN_PATH", installation.path("prefix/share/cinetomo/plugins"))
        .env("OMP_WAIT_POLICY", "passive")
        .env("LD_LIBRARY_PATH", decoys.path());
    assert_eq!(clean(&mut java), "ok\n");
}

#[test]
fn class_loaders_share_the_library() {
    let installation = Installation::get();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let model = folder.path().join("model.safetensors");
    let plugin = installation.plugin();
    let context = plugin.context(plugin.context_options()).expect("a context");
    let options = ModelOptions::new(["one", "two"]);
    context.model_random(&options).expect("a model").save(&model).expect("saved");

    // Without the API on the class path: the program makes its own loaders.
    let mut java = installation.java();
    java.args(["-Xcheck:jni", "-cp"]).arg(installation.tests()).arg("Loaders");
    assert_eq!(clean(java.args([installation.api(), model])), "ok\n");
}

#[test]
fn the_jvm_ends_well_while_it_trains() {
    let installation = Installation::get();
    for milliseconds in ["0", "40", "300", "900", "1700"] {
        let (output, text) = output(installation.program("Exit").arg(milliseconds));
        assert_eq!(output.status.code(), Some(7), "after {milliseconds} ms: {text}");
    }
}

/// Java's constants are those of the header, and no option of the header is unknown by name.
#[test]
fn java_speaks_the_contract() {
    let header = fs::read_to_string(root().join("include/cinetomo.h")).expect("the header");
    let body = |kind: &str, name: &str| -> Vec<String> {
        let start = format!("typedef {kind} {name} {{");
        let rest = header.split_once(&start).unwrap_or_else(|| panic!("no {start}")).1;
        let body = rest.split_once(&format!("}} {name};")).expect("its end").0;
        let code = body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '*']));
        code.map(str::to_owned).collect()
    };
    let numbers = |name: &str| -> Vec<String> {
        body("struct", name)
            .into_iter()
            .filter(|line| !line.contains('*'))
            .filter_map(|line| Some(line.strip_suffix(';')?.split_once(' ')?.1.to_owned()))
            .filter(|name| !["struct_size", "n_milestones", "reserved"].contains(&name.as_str()))
            .collect()
    };
    let fields = numbers("cinetomo_fine_tune_options");
    let preprocess: Vec<String> = numbers("cinetomo_preprocess")
        .into_iter()
        .flat_map(|name| match name.strip_suffix("[3]") {
            Some(axes) => ["z", "y", "x"].map(|axis| format!("+{axes}_{axis}")).to_vec(),
            None => vec![format!("+{name}")],
        })
        .collect();
    assert!(preprocess.len() >= 9, "{preprocess:?}");
    assert!(fields.len() > 20, "{fields:?}");

    let printed = clean(Installation::get().program("Contract").args(&fields).args(&preprocess));
    let constants: BTreeSet<&str> =
        printed.lines().filter(|line| line.starts_with("CINETOMO_")).collect();
    let families = [
        "status",
        "device",
        "log_level",
        "contrast",
        "axis",
        "dtype",
        "preset",
        "stage",
        "cam_method",
        "reject",
        "part",
        "threshold_rule",
        "edge",
        "resampling",
    ];
    let enums: Vec<String> = families
        .iter()
        .flat_map(|family| body("enum", &format!("cinetomo_{family}")))
        .filter_map(|line| Some(line.strip_suffix(',')?.to_owned()))
        .collect();
    assert_eq!(constants, enums.iter().map(String::as_str).collect());

    for name in &preprocess {
        assert!(printed.contains(&format!("{name}: known\n")), "{name}: {printed}");
    }
    for name in fields.iter().map(String::as_str).chain(["n_epoch"]) {
        assert!(printed.contains(&format!("{name}: refused\n")), "{name}: {printed}");
    }
}

/// The poms have the workspace's version.
#[test]
fn versions_agree() {
    for pom in [
        "examples/fiji/pom.xml",
        "examples/fiji/api/pom.xml",
        "examples/fiji/plugins/pom.xml",
        "tests/fiji/pom.xml",
    ] {
        let text = fs::read_to_string(root().join(pom)).expect("a pom");
        let version = concat!(
            "<artifactId>cinetomo-java</artifactId>\n",
            "@<version>",
            env!("CARGO_PKG_VERSION"),
            "</version>"
        );
        let text: String = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        assert!(text.contains(&version.replace('@', "")), "{pom}");
    }
}

/// The example in the README compiles, and its macros' options are those of the commands.
#[test]
fn the_readme_is_right() {
    let installation = Installation::get();
    let readme = fs::read_to_string(root().join("examples/fiji/README.md")).expect("the README");
    let block = readme.split_once("```java\n").and_then(|(_, rest)| rest.split_once("```"));
    let folder = tempfile::tempdir().expect("a temporary directory");
    let source = folder.path().join("Quickstart.java");
    fs::write(&source, block.expect("an example").0).expect("a source file");
    let mut compiler = Command::new("javac");
    compiler.args(["--release", "11", "-Xlint:all", "-Werror", "-cp"]).arg(installation.api());
    run(compiler.arg("-d").arg(folder.path()).arg(source));

    let commands = root().join("examples/fiji/plugins/src/main/java/org/cinetomo/imagej");
    let sources: String = ["Command", "Classify_", "FineTune_", "GradCam_"]
        .map(|name| fs::read_to_string(commands.join(format!("{name}.java"))).expect("a source"))
        .concat()
        .to_lowercase();
    let keys: Vec<&str> = readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_=".contains(c)))
        .filter_map(|word| word.split_once('='))
        .map(|(key, _)| key)
        .filter(|key| !["FIJI", "PREFIX", "CINETOMO_PLUGIN_PATH", "jni"].contains(key))
        .collect();
    assert!(keys.len() > 8, "{keys:?}");
    for key in keys {
        let of_training = ["learning_rate", "batch_size"].contains(&key);
        assert!(of_training || sources.contains(&format!("\"{key}")), "{key}");
    }
}
