//! The commands as people use them: labels, errors, windows.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use cinetomo_host::ModelOptions;

use crate::{Installation, output, run};

/// The classes of a table that ImageJ saved, with the probabilities of being right.
fn classes(path: &Path) -> Vec<String> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().skip(1).map(|line| line.split_once(',').expect("columns").1.to_owned()).collect()
}

#[test]
fn models_are_tuned_by_tables_and_by_regions() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| folder.path().join(name);
    let printed =
        Installation::get().headless("fine_tune.ijm", folder.path().to_str().expect("UTF-8"));
    assert!(!printed.contains("Macro Error"), "{printed}");
    assert!(printed.contains("[2, 2] subtomograms a class, 2 of them for validation"), "{printed}");

    let table = classes(&at("table.csv"));
    let regions = classes(&at("regions.csv"));
    assert_eq!((table.len(), regions.len()), (10, 10));
    for (row, (by_table, by_region)) in table.iter().zip(&regions).enumerate() {
        // 4e12 is a name, and so is one with a comma.
        let [in_table, in_regions] =
            if row % 2 == 0 { ["4e12,", "ball,"] } else { ["\"bar, long\",", "bar,"] };
        assert!(by_table.starts_with(in_table), "row {row}: {by_table}");
        assert!(by_region.starts_with(in_regions), "row {row}: {by_region}");
    }
    let course = fs::read_to_string(at("course.csv")).expect("the course of the training");
    let mut lines = course.lines();
    assert_eq!(lines.next(), Some("epoch,loss,accuracy,validation accuracy"));
    assert_eq!(lines.filter(|line| line.starts_with("1,") || line.starts_with("2,")).count(), 2);
}

/// What is wrong is said in a person's words, and stops the macro.
#[test]
fn errors_stop_the_macro_and_say_what_to_do() {
    let installation = Installation::get();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let model = folder.path().join("model.safetensors");
    let plugin = installation.plugin();
    let context = plugin.context(plugin.context_options()).expect("a context");
    context
        .model_random(&ModelOptions::new(["one", "two"]))
        .expect("a model")
        .save(&model)
        .expect("saved");
    let labels = folder.path().join("labels.csv");
    fs::write(&labels, "particle,class\n1,one\n77,two\n").expect("a table");

    let classify = "Classify Subtomograms";
    let tune = "Fine-tune on Labelled Subtomograms";
    let [model, labels] = [&model, &labels].map(|path| path.display().to_string());
    let with_model = |rest: &str| format!("model_file=[{model}] {rest}");
    let with_labels = |rest: &str| format!("label_file=[{labels}] save_model_as=m {rest}");
    // Slices of the image (40: in two channels), command, options, what is said.
    let cases = [
        ("none", classify, "model_file=x".to_owned(), "There are no images open"),
        ("16", classify, "model_file=/nowhere/model".to_owned(), "/nowhere/model: No such file"),
        ("16", classify, "box_depth=16".to_owned(), "Model_file is missing"),
        ("16", classify, with_model("contrast=grey"), "there are unknown, dark, bright"),
        ("16", classify, with_model("box_depth=5"), "does not divide"),
        ("16", classify, with_model("box_depth=x"), "Box_depth is no number"),
        ("16", classify, with_model("box_depth=1.5"), "must be a whole number"),
        ("32", classify, with_model(""), "state the box depth 16"),
        ("40", classify, with_model(""), "has 2 channels"),
        ("16", classify, with_model("reject=improbable"), "calibrate"),
        (
            "16",
            tune,
            with_labels("start_from=[random numbers] box_depth=8"),
            "row 2: particle is \"77\"",
        ),
        (
            "16",
            tune,
            "start_from=[random numbers] save_model_as=m".to_owned(),
            "Label_file is missing",
        ),
        ("16", tune, "labels_from=regions save_model_as=m".to_owned(), "there are no regions"),
        ("16", tune, with_labels("more_options=[rate=1 2]"), "\"2\" is not name=number"),
    ];
    let file = folder.path().join("cases.txt");
    let lines: Vec<String> = cases
        .iter()
        .map(|(image, command, options, _)| format!("{image}|{command}|{options}"))
        .collect();
    fs::write(&file, lines.join("\n")).expect("the cases");

    let printed = installation.headless("errors.ijm", file.to_str().expect("UTF-8"));
    let answers: Vec<&str> = printed.split("case ").skip(1).collect();
    assert_eq!(answers.len(), cases.len(), "{printed}");
    for ((image, command, options, expected), answer) in cases.iter().zip(answers) {
        assert!(answer.contains(expected), "{image} {command} {options}: {answer}");
        assert!(!answer.contains("\nwent on") && !answer.contains("\tat "), "{answer}");
    }
}

/// A screen that nobody looks at, until it is dropped.
struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    fn new() -> Screen {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb");
        let mut display = String::new();
        let output = server.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut display).expect("the display's number");
        Screen { server, display: format!(":{}", display.trim()) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// With windows: a dialog that is clicked on, its record, the ROI Manager, "Refresh Menus". The pictures stay in the target
/// folder for whoever wants to see them.
#[test]
fn imagej_shows_records_and_repeats() {
    let installation = Installation::get();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fiji/pictures");
    fs::create_dir_all(&folder).expect("a folder");
    for name in ["tuned.safetensors", "dialog.png", "results.png", "regions.png", "heat.png"] {
        let _ = fs::remove_file(folder.join(name));
    }
    let plugin = installation.plugin();
    let context = plugin.context(plugin.context_options()).expect("a context");
    context
        .model_random(&ModelOptions::new(["even", "odd"]))
        .expect("a model")
        .save(folder.join("model.safetensors"))
        .expect("saved");

    let screen = Screen::new();
    let mut java = installation.java();
    java.arg("-cp").arg(installation.tests()).arg("Gui");
    let printed =
        run(java.args([folder.clone(), installation.imagej()]).env("DISPLAY", &screen.display));
    assert!(printed.ends_with("ok\n"), "{printed}");
    for name in ["dialog.png", "results.png", "regions.png", "heat.png"] {
        let size = fs::metadata(folder.join(name)).expect("a picture").len();
        assert!(size > 5000, "{name} shows nothing: {size} bytes");
    }
}

/// Without its library ImageJ says what to do.
#[test]
fn a_missing_library_is_an_error() {
    let installation = Installation::get();
    let mut java = installation.program("Contract");
    java.env("CINETOMO_PLUGIN_PATH", "/nowhere");
    let (_, text) = output(&mut java);
    assert!(text.contains("set CINETOMO_PLUGIN_PATH"), "{text}");

    let alone = tempfile::tempdir().expect("a temporary directory");
    let jar = alone.path().join("cinetomo.jar");
    fs::copy(installation.api(), &jar).expect("a copy");
    let mut java = installation.java();
    java.arg("-cp").arg(crate::class_path(&[installation.tests(), jar])).arg("Contract");
    let (_, text) = output(&mut java);
    assert!(text.contains("cinetomo's native library was not found"), "{text}");
}
