//! What is done every day, with results that are known.

use std::fs;

use cinetomo_formats::csv::{Labels, Results};
use cinetomo_tests::library;
use serde_json::Value;

use crate::lab::{Lab, data, leftovers};

#[test]
fn the_main_job_from_boxes_to_accuracy() {
    let lab = Lab::new().with_data();
    let classes = ["T20S proteasome", "apoferritin", "hemagglutinin"];
    let info = lab.cinetomo("info tuned.safetensors --json").json();
    assert_eq!(info["files"][0]["class_names"], serde_json::json!(classes));
    assert_eq!(info["files"][0]["voxel_size"], 10.0);
    assert_eq!(info["files"][0]["contrast"], "dark");

    let json = lab
        .cinetomo("classify -m tuned.safetensors -i test.mrc --contrast dark -o classes.csv probabilities.npy --json")
        .json();
    assert_eq!(json["n"], 24);
    let counts: Vec<u64> =
        json["n_per_class"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 24);
    let results = Results::read(&lab.at("classes.csv")).unwrap();
    assert_eq!(results.class_names, classes);
    for (row, class) in results.probabilities.outer_iter().zip(&results.classes) {
        assert!((row.sum() - 1.0).abs() < 1e-5);
        assert!(row.iter().all(|&p| p <= row[class.unwrap()]));
    }
    // A .npy of version 1.0 with a header of 128 bytes holds the same numbers.
    let array = fs::read(lab.at("probabilities.npy")).unwrap();
    let numbers: Vec<f32> =
        array[128..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(numbers, results.probabilities.iter().copied().collect::<Vec<_>>());

    let json = lab
        .cinetomo("evaluate --scores classes.csv --labels test.csv -o evaluation.json --json")
        .json();
    let written: Value = serde_json::from_str(&lab.read("evaluation.json")).unwrap();
    assert_eq!(written, json);
    // The same by hand.
    let truth = Labels::read(&lab.at("test.csv")).unwrap();
    let right = results.classes.iter().zip(&truth.rows);
    let n_right = right.filter(|(class, row)| classes[class.unwrap()] == row.label).count();
    assert_eq!(json["accuracy"], n_right as f64 / 24.0);
    // Chance is a third; four standard errors of 24 boxes above it.
    assert!(json["accuracy"].as_f64().unwrap() > 0.72, "{json}");
    let confusion = json["confusion"].as_array().unwrap();
    let sum: i64 =
        confusion.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(sum, 24);
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn a_run_file_repeats_its_run_from_anywhere() {
    let lab = Lab::new().with_data();
    fs::create_dir(lab.at("results")).unwrap();
    lab.cinetomo(
        "embed -m tuned.safetensors -i test.mrc --contrast dark -o results/e.npy results/e.csv",
    )
    .ok();
    let first = fs::read(lab.at("results/e.npy")).unwrap();
    // Rows of the table are those of the array.
    let table = lab.read("results/e.csv");
    assert_eq!(table.lines().count(), 25);
    let last: f32 = table.lines().last().unwrap().rsplit(',').next().unwrap().parse().unwrap();
    assert_eq!(last.to_le_bytes(), first[first.len() - 4..]);

    fs::remove_file(lab.at("results/e.npy")).unwrap();
    fs::create_dir(lab.at("elsewhere")).unwrap();
    let mut again = lab.command("--config ../results/e.npy.run.toml");
    let output = again.current_dir(lab.at("elsewhere")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "e.csv is in the way");
    assert!(!lab.at("results/e.npy").exists());
    let mut again = lab.command("--config ../results/e.npy.run.toml --force");
    let output = again.current_dir(lab.at("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(lab.at("results/e.npy")).unwrap(), first);
}

#[test]
fn directories_labels_and_groups() {
    let lab = Lab::new().with_data();
    let classes = lab.split_boxes();
    // In an order of their own, named relative to the directory of boxes, some without a label.
    let mut text = "group,path,label\n".to_owned();
    for (index, class) in classes.iter().enumerate().rev().take(9) {
        text += &format!("tomogram_{},box_{}.mrc,{class}\n", index % 2, index + 1);
    }
    lab.write("labels.csv", &text);
    let json = lab
        .cinetomo(
            "finetune --random --views 1 -i boxes --labels labels.csv --preset probe --contrast dark -o a.safetensors --json",
        )
        .json();
    assert_eq!((&json["n"], &json["n_per_class"]), (&9.into(), &serde_json::json!([3, 3, 3])));
    // Boxes that are read again and again come to the very same model.
    lab.cinetomo(
        "finetune --random --views 1 -i boxes --labels labels.csv --preset probe --contrast dark -o f.safetensors \
         --box-memory 0",
    )
    .ok();
    let bytes = |name: &str| std::fs::read(lab.at(name)).unwrap();
    assert!(bytes("f.safetensors") == bytes("a.safetensors"));
    // A model that goes on keeps its classes.
    let json = lab
        .cinetomo("finetune -m a.safetensors -i boxes --labels labels.csv --epochs 1 --batch-size 3 -o b.safetensors --json")
        .json();
    assert_eq!(
        json["class_names"],
        serde_json::json!(["T20S proteasome", "apoferritin", "hemagglutinin"])
    );
    assert_eq!(json["training"]["epochs"].as_array().unwrap().len(), 1);

    lab.write("boxes/labels.csv", text);
    lab.cinetomo("classify -m b.safetensors -i boxes/labels.csv --contrast dark -o c.csv").ok();
    let table = lab.read("c.csv");
    assert!(
        table.starts_with("path,label,probability,group,probability_T20S proteasome,"),
        "{table}"
    );
    assert!(table.contains("\nbox_24.mrc,") && table.contains(",tomogram_1,"), "{table}");
    lab.cinetomo("evaluate --scores c.csv --labels labels.csv").ok();
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn calibrated_models_may_say_that_they_do_not_know() {
    let lab = Lab::new().with_data();
    let json = lab
        .cinetomo("calibrate -m tuned.safetensors --labels test.csv --contrast dark --coverage 0.5 -o half.safetensors --json")
        .json();
    assert_eq!(json["confidence"]["n_calibration"], 24);
    let accepted = json["confidence"]["probability"]["n_accepted"].as_u64().unwrap();
    let json = lab
        .cinetomo("classify -m half.safetensors -i test.mrc --contrast dark --reject probability -o half.csv --json")
        .json();
    assert_eq!(json["n_rejected"], 24 - accepted);
    let results = Results::read(&lab.at("half.csv")).unwrap();
    assert_eq!(
        results.classes.iter().filter(|class| class.is_none()).count() as u64,
        24 - accepted
    );
    let json = lab.cinetomo("evaluate --scores half.csv --labels test.csv --json").json();
    assert_eq!(json["accepted"]["n"], accepted);
    // Distances need class means, which only a training with them computes.
    lab.cinetomo(
        "classify -m tuned.safetensors -i test.mrc --contrast dark --reject distance -o d.csv",
    )
    .ok();
}

#[test]
fn files_are_described() {
    let lab = Lab::new().with_data();
    lab.write(
        "a.pdb",
        "ATOM      1  CA  ALA A   1      11.000  12.000  13.000  1.00  0.00           C  \nEND\n",
    );
    let json = lab.cinetomo("info train.mrc train.csv a.pdb --json").json();
    let files = json["files"].as_array().unwrap();
    assert_eq!(
        (&files[0]["n"], &files[0]["shape"]),
        (&36.into(), &serde_json::json!([32, 32, 32]))
    );
    assert_eq!(files[0]["voxel_size"], 10.0);
    assert_eq!(files[1]["classes"]["apoferritin"], 12);
    assert_eq!(files[2]["n_atoms"], 1);
    let json = lab.cinetomo("info --json").json();
    assert_eq!(json["plugin"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["libtorch"]["path"].as_str().unwrap().ends_with("libtorch_cpu.so"));
    let text = lab.cinetomo("info tuned.safetensors train.csv").ok();
    assert!(
        text.contains("classes: T20S proteasome, apoferritin")
            && text.contains("36 labelled images"),
        "{text}"
    );
}

#[test]
fn checkpoints_are_looked_into() {
    let lab = data();
    let checkpoint = cinetomo_tests::i3d_checkpoint();
    let json = lab.cinetomo(&format!("weights inspect {} --json", checkpoint.display())).json();
    assert_eq!((&json["network"], &json["n_classes"]), (&"i3d".into(), &400.into()));
    let text = lab.cinetomo(&format!("weights inspect {}", checkpoint.display())).ok();
    assert!(text.contains("network: i3d: a model can start from it"), "{text}");
    lab.cinetomo("weights inspect train.csv").fails(1, "train.csv");
}

#[test]
fn models_are_made_before_they_are_trained() {
    let lab = Lab::new();
    let json = lab
        .cinetomo("init --random --classes one two --input-size 0 64 64 --normalization z-score --seed 3 -o m.safetensors --json")
        .json();
    assert_eq!(json["model"]["class_names"], serde_json::json!(["one", "two"]));
    assert_eq!(json["model"]["input_size"], serde_json::json!([0, 64, 64]));
    assert!(lab.read("m.safetensors.run.toml").contains("seed = 3\n"));
    lab.cinetomo("init --random --classes one two -o m.safetensors")
        .fails(1, "exists already; --force");
    lab.cinetomo("init --random --classes one two -o m.safetensors --force --quiet").ok();
}

#[test]
fn densities_are_simulated() {
    let lab = Lab::new();
    // Two blobs at different distances, as a structure and as a map.
    let atom = |serial: usize, x: f64| {
        format!(
            "ATOM  {serial:5}  CA  ALA A{serial:4}    {x:8.3}{:8.3}{:8.3}  1.00  0.00           C  \n",
            0.0, 0.0
        )
    };
    let atoms: String = (1..40).map(|serial| atom(serial, 3.0 * serial as f64)).collect();
    lab.write("rod.pdb", format!("{atoms}END\n"));
    lab.cinetomo("simulate --phantoms apoferritin --per-class 1 --snr inf --max-shift 0 --contrast bright -o map.mrc").ok();
    let json = lab
        .cinetomo("simulate --density rod=rod.pdb ball=map.mrc --per-class 3 --snr inf -o both.mrc --json")
        .json();
    assert_eq!(
        (&json["n"], &json["class_names"]),
        (&6.into(), &serde_json::json!(["rod", "ball"]))
    );
    assert_eq!(
        lab.read("both.csv"),
        "path,label\n000001@both.mrc,rod\n000002@both.mrc,ball\n000003@both.mrc,rod\n000004@both.mrc,ball\n\
         000005@both.mrc,rod\n000006@both.mrc,ball\n"
    );
    lab.cinetomo("simulate --density rod=map.mrc --voxel-size 5 -o no.mrc")
        .fails(1, "voxels of 10 angstrom");
    lab.cinetomo("simulate --density map.mrc -o no.mrc").fails(2, "expected NAME=FILE");
    lab.cinetomo("simulate --phantoms unicorn -o no.mrc").fails(2, "no phantom unicorn; there are");
    assert!(!lab.at("no.mrc").exists() && !lab.at("no.csv").exists());
}

#[test]
fn every_command_teaches() {
    let lab = data();
    let help = lab.cinetomo("--help").ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 13, "{commands:?}");
    for command in commands {
        let arguments = if command == "weights" { "weights inspect" } else { command };
        let help = lab.cinetomo(&format!("{arguments} --help")).ok();
        assert!(help.contains("Example"), "{help}");
        assert!(help.contains(&format!("cinetomo {arguments}")), "{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(lab.cinetomo(&format!("completions {shell}")).ok().contains("finetune"));
    }
    assert!(lab.cinetomo("man").ok().contains(".TH cinetomo 1"));
    let pages = Lab::new();
    pages.cinetomo("man -o .").ok();
    assert!(pages.read("cinetomo-classify.1").contains("cinetomo\\-classify"));
    assert_eq!(lab.cinetomo("--version").ok(), format!("cinetomo {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn plugins_are_found_by_their_manifest() {
    let lab = Lab::new();
    fs::create_dir(lab.at("plugins")).unwrap();
    let manifest = serde_json::json!({
        "manifest_version": 1, "name": "cinetomo", "version": "0.1.0", "library": library(),
        "entry": "cinetomo_get_api", "abi_versions": [1],
    });
    lab.write("plugins/cinetomo.json", manifest.to_string());
    let run = |arguments: &[&str], variable: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cinetomo"));
        command.current_dir(lab.path()).args(arguments).env_remove("CINETOMO_PLUGIN_PATH");
        // No manifest of this machine may be found.
        command.env("XDG_DATA_HOME", lab.at("none")).env("XDG_DATA_DIRS", lab.at("none"));
        if let Some(value) = variable {
            command.env("CINETOMO_PLUGIN_PATH", lab.at(value));
        }
        command.output().unwrap()
    };
    assert!(run(&["info"], Some("plugins")).status.success());
    assert!(run(&["info", "--plugin", "plugins"], None).status.success());
    let output = run(&["info"], None);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("no usable cinetomo plugin") && message.contains("none"), "{message}");
}

#[test]
fn an_installed_tree_is_enough() {
    let lab = Lab::new();
    let install = std::process::Command::new(cinetomo_tests::root().join("src/setup/install.sh"))
        .arg(lab.at("tree"))
        .env("CINETOMO_LIBRARY", library())
        .env("CINETOMO_COMMAND", env!("CARGO_BIN_EXE_cinetomo"))
        .output()
        .unwrap();
    assert!(install.status.success(), "{install:?}");
    fs::rename(lab.at("tree"), lab.at("moved")).unwrap();
    for variable in [None, Some(lab.at("nowhere"))] {
        let mut command = std::process::Command::new(lab.at("moved/bin/cinetomo"));
        command.arg("info").env_clear();
        command.envs(variable.map(|place| ("CINETOMO_PLUGIN_PATH", place)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("moved/share/cinetomo/plugins/cinetomo.json"), "{text}");
    }
    for file in [
        "bin/cinetomo_relion",
        "share/man/man1/cinetomo-finetune.1",
        "share/bash-completion/completions/cinetomo",
        "share/zsh/site-functions/_cinetomo",
        "share/fish/vendor_completions.d/cinetomo.fish",
    ] {
        assert!(lab.at("moved").join(file).exists(), "{file}");
    }
}
