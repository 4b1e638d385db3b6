//! Bad input: what is said of it, with which exit code, and that nothing is left behind.

use std::fs;

use cinetomo_formats::mrc;
use ndarray::Array3;

use crate::lab::{Lab, data, leftovers};

fn blob(edge: usize, shift: f32) -> Array3<f32> {
    Array3::from_shape_fn([edge; 3], |(z, y, x)| {
        (z as f32 * 0.3 + shift).sin() + y as f32 * 0.1 + x as f32 * 0.01
    })
}

#[test]
fn labels_that_are_wrong_are_named_with_line_and_column() {
    let lab = Lab::new();
    fs::create_dir(lab.at("boxes")).unwrap();
    for index in 0..4 {
        mrc::write(lab.at(&format!("boxes/{index}.mrc")), blob(32, index as f32).view(), 10.0)
            .unwrap();
    }
    let finetune = |labels: &str, more: &str| {
        lab.write("labels.csv", labels);
        lab.cinetomo(&format!(
            "finetune --random --epochs 0 -o no.safetensors --labels labels.csv {more}"
        ))
    };
    finetune("path,name\nboxes/0.mrc,a\n", "")
        .fails(1, "labels.csv: line 1: expected the columns path and label");
    finetune("path,label\nboxes/0.mrc,a\nboxes/9.mrc,b\n", "")
        .fails(1, "labels.csv: the image of particle 2 is not there");
    finetune("path,label\n0.mrc,a\n9.mrc,b\n", "-i boxes")
        .fails(1, "labels.csv: line 3, path: 9.mrc is none of the boxes");
    finetune("path,label\n0.mrc,a\nboxes/0.mrc,b\n", "-i boxes")
        .fails(1, "line 3, path: boxes/0.mrc is labelled in line 2, too");
    finetune("path,label\n0.mrc,a\n1.mrc,b\n", "-i boxes --classes a c")
        .fails(1, "labels.csv: line 3, label: \"b\" is none of the classes a, c");
    finetune("path,label\n0.mrc,a\n1.mrc,a\n", "-i boxes").fails(1, "class");
    lab.cinetomo("finetune --random -i boxes -o no.safetensors")
        .fails(1, "boxes: has no labels; give a file of them with --labels");
    lab.cinetomo("finetune --random -o no.safetensors").fails(2, "name them with --input");
    lab.write("good.csv", "path,label\nboxes/0.mrc,a\nboxes/1.mrc,b\n");
    lab.cinetomo("finetune --labels good.csv -o no.safetensors")
        .fails(2, "--checkpoint (or CINETOMO_I3D), or ask for --random");
    lab.cinetomo("finetune --labels good.csv --checkpoint good.csv -o no.safetensors")
        .fails(1, "good.csv");
    assert!(!lab.at("no.safetensors").exists());
    assert!(leftovers(&lab).is_empty(), "{:?}", leftovers(&lab));
}

#[test]
fn boxes_that_are_wrong_are_named() {
    let lab = Lab::new().with_data();
    let classify =
        |input: &str| lab.cinetomo(&format!("classify -m tuned.safetensors -o no.csv -i {input}"));
    fs::create_dir(lab.at("mixed")).unwrap();
    mrc::write(lab.at("mixed/1.mrc"), blob(32, 0.0).view(), 10.0).unwrap();
    mrc::write(lab.at("mixed/2.mrc"), blob(28, 0.0).view(), 10.0).unwrap();
    classify("mixed").fails(
        1,
        "mixed/2.mrc: expected [32, 32, 32] voxels (z, y, x) as in 1.mrc, found [28, 28, 28]",
    );
    classify("mixed/1.mrc mixed/2.mrc")
        .fails(1, "mixed/2.mrc: boxes of [28, 28, 28] voxels (z, y, x); those of mixed/1.mrc");
    lab.write("list.csv", "path,label\nmixed/1.mrc,a\nmixed/2.mrc,b\n");
    classify("list.csv")
        .fails(1, "list.csv: mixed/2.mrc: [28, 28, 28] voxels (z, y, x); expected [32, 32, 32]");
    lab.write("beyond.csv", "path,label\n25@test.mrc,a\n");
    classify("beyond.csv").fails(1, "beyond.csv: 000025@test.mrc: the file has 24 boxes");

    // What RELION calls a stack of images.
    fs::copy(lab.at("test.mrc"), lab.at("tilts.mrcs")).unwrap();
    let mut bytes = fs::read(lab.at("tilts.mrcs")).unwrap();
    bytes[88..92].copy_from_slice(&0i32.to_le_bytes());
    fs::write(lab.at("tilts.mrcs"), bytes).unwrap();
    classify("tilts.mrcs").fails(1, "768 images of 32 x 32 pixels, not subtomograms");
    lab.cinetomo("classify -m tuned.safetensors -o depth.csv -i tilts.mrcs --depth 32").ok();
    lab.cinetomo("classify -m tuned.safetensors -o plain.csv -i test.mrc").ok();
    assert_eq!(lab.read("depth.csv").replace("tilts.mrcs", "test.mrc"), lab.read("plain.csv"));

    let mut odd = blob(32, 1.0);
    odd[[1, 2, 3]] = f32::NAN;
    mrc::write(lab.at("nan.mrc"), odd.view(), 10.0).unwrap();
    classify("mixed/1.mrc nan.mrc").fails(1, "nan.mrc: 1 of 32768 voxels are NaN or infinite");
    mrc::write(lab.at("flat.mrc"), Array3::from_elem([32; 3], 5.0).view(), 10.0).unwrap();
    classify("flat.mrc").fails(1, "flat.mrc: all voxels are 5; a subtomogram must not be constant");
    classify("nowhere.mrc").fails(1, "nowhere.mrc: ");
    lab.write("cut.mrc", &fs::read(lab.at("test.mrc")).unwrap()[..5000]);
    classify("cut.mrc").fails(1, "cut.mrc: ");
    mrc::write(lab.at("fine.mrc"), blob(32, 0.5).view(), 5.0).unwrap();
    classify("mixed/1.mrc fine.mrc")
        .fails(1, "fine.mrc: voxels of 5 angstrom; those of mixed/1.mrc have 10");
    assert!(!lab.at("no.csv").exists());
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn what_is_meant_for_another_command_is_told_so() {
    let lab = Lab::new().with_data();
    lab.cinetomo("pick -i test.mrc --contrast dark -o no.star").fails(
        1,
        "test.mrc: 24 volumes of 32 x 32 x 32 voxels; expected one tomogram. Boxes are what `cinetomo classify` takes",
    );
    let tomogram =
        Array3::from_shape_fn([20, 64, 48], |(z, y, x)| ((7 * z + 5 * y + x) % 31) as f32);
    mrc::write(lab.at("tomo.mrc"), tomogram.view(), 10.0).unwrap();
    let run = lab.cinetomo("classify -m tuned.safetensors -i tomo.mrc -o whole.csv");
    let words =
        "tomo.mrc is one box of 20 x 64 x 48 voxels; if it is a tomogram, `cinetomo tomogram`";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    // Stacks of images, as many programs write tomograms, are one.
    let mut bytes = fs::read(lab.at("tomo.mrc")).unwrap();
    bytes[88..92].copy_from_slice(&0i32.to_le_bytes());
    bytes[36..40].copy_from_slice(&1i32.to_le_bytes());
    lab.write("images.mrc", bytes);
    lab.cinetomo("pick -i images.mrc --contrast dark --voxel-size 10 -o picks.star").ok();
    lab.cinetomo("experiment --medmnist test.mrc --random -o no.csv")
        .fails(1, "test.mrc: no .npz file, which is a zip archive of arrays");
    lab.cinetomo("init --random --classes a b -o plain.safetensors").ok();
    lab.cinetomo("classify -m plain.safetensors -i test.mrc --reject distance -o no.csv").fails(
        2,
        "--reject distance: plain.safetensors has no threshold for it; `cinetomo calibrate",
    );
    assert!(!lab.at("no.csv").exists() && leftovers(&lab).is_empty());
}

#[test]
fn what_may_be_wrong_is_said_once() {
    let lab = Lab::new().with_data();
    mrc::write(lab.at("unknown.mrc"), blob(32, 0.5).view(), 0.0).unwrap();
    let run = lab.cinetomo("classify -m tuned.safetensors -i unknown.mrc -o a.csv");
    assert!(
        run.stderr.contains("warning: unknown.mrc does not say its voxel size"),
        "{}",
        run.stderr
    );
    let run = lab.cinetomo(
        "classify -m tuned.safetensors -i test.mrc --voxel-size 20 --contrast bright -o b.csv",
    );
    for words in ["--voxel-size 20 is used", "voxels of 20 angstrom", "particles are Bright"] {
        assert_eq!(run.stderr.matches(words).count(), 1, "{}", run.stderr);
    }
    let run = lab
        .cinetomo("classify -m tuned.safetensors -i test.mrc --contrast bright -o c.csv --quiet");
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn usage_errors_have_their_own_code_and_machines_get_objects() {
    let lab = data();
    lab.cinetomo("dance").fails(2, "unrecognized subcommand 'dance'");
    lab.cinetomo("classify").fails(2, "--model");
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc -o x.xyz")
        .fails(2, ".xyz is no format of results");
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc -o x.csv --keep unicorn")
        .fails(2, "--keep unicorn: the model's classes are");
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc -o nowhere/x.csv")
        .fails(1, "there is no directory nowhere");
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc -o train.csv")
        .fails(1, "train.csv: exists already; --force replaces it");
    lab.cinetomo("classify -m train.csv -i test.mrc -o x.csv").fails(1, "train.csv");
    lab.cinetomo("--config nowhere.toml").fails(1, "nowhere.toml: ");
    lab.cinetomo("info --plugin nowhere").fails(1, "nowhere: not there");
    lab.cinetomo("info nowhere.mrc").fails(1, "nowhere.mrc: ");
    let run = lab.cinetomo("info nowhere.mrc --json");
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(object["exit_code"], 1);
    assert!(object["error"].as_str().unwrap().starts_with("nowhere.mrc: "));
}

#[test]
fn scores_without_labels_and_labels_without_scores() {
    let lab = Lab::new();
    lab.write(
        "scores.csv",
        "path,probability_a,probability_b\nx/1.mrc,0.9,0.1\nx/2.mrc,0.2,0.8\nx/3.mrc,0.6,0.4\n",
    );
    let evaluate = |labels: &str| {
        lab.write("labels.csv", labels);
        lab.cinetomo("evaluate --scores scores.csv --labels labels.csv --json")
    };
    let json = evaluate("path,label\n1.mrc,a\nx/2.mrc,a\n").json();
    assert_eq!(
        (&json["n"], &json["n_without_label"], &json["accuracy"]),
        (&2.into(), &1.into(), &0.5.into())
    );
    evaluate("path,label\n1.mrc,a\n9.mrc,a\n")
        .fails(1, "line 3, path: 9.mrc has no scores in scores.csv (1 of 2 images)");
    evaluate("path,label\n1.mrc,c\n").fails(
        1,
        "labels.csv: line 2, label: \"c\" is none of the classes a, b, and no other label is one",
    );
    lab.write("scores.csv", "path,label\n1.mrc,a\n");
    evaluate("path,label\n1.mrc,a\n")
        .fails(1, "scores.csv: line 1: expected the columns path and probability_<class>");
}

#[test]
fn boxes_of_unknown_classes_are_counted_apart() {
    let lab = Lab::new();
    // Rejected: the second of the known, and two of three unknown ones. Highest probabilities of known boxes: 0.9, 0.8,
    // 0.7; of others 0.75, 0.6, 0.5: eight of nine pairs are in order.
    lab.write(
        "scores.csv",
        "path,label,probability,probability_a,probability_b\n1.mrc,a,0.9,0.9,0.1\n2.mrc,,0.8,0.2,0.8\n\
         3.mrc,a,0.7,0.7,0.3\n4.mrc,a,0.75,0.75,0.25\n5.mrc,,0.6,0.4,0.6\n6.mrc,,0.5,0.5,0.5\n7.mrc,a,1,1,0\n",
    );
    lab.write(
        "labels.csv",
        "path,label\n1.mrc,a\n2.mrc,b\n3.mrc,b\n4.mrc,ice\n5.mrc,membrane\n6.mrc,ice\n",
    );
    let evaluate = "evaluate --scores scores.csv --labels";
    let json = lab.cinetomo(&format!("{evaluate} labels.csv --json")).json();
    assert_eq!((&json["n"], &json["n_without_label"]), (&3.into(), &1.into()));
    assert_eq!(json["accepted"], serde_json::json!({"n": 2, "n_right": 1}));
    let unknown = &json["unknown_classes"];
    assert_eq!(unknown["n_of"], serde_json::json!({"ice": 2, "membrane": 1}));
    assert_eq!((&unknown["n"], &unknown["n_rejected"]), (&3.into(), &2.into()));
    assert!((unknown["auc"].as_f64().unwrap() - 8.0 / 9.0).abs() < 1e-6, "{unknown}");
    let text = lab.cinetomo(&format!("{evaluate} labels.csv")).ok();
    let line = "of unknown classes          3 (ice 2, membrane 1), of which 2 were given no class";
    assert!(text.contains(line), "{text}");
    // In a list, classes have numbers.
    lab.write(
        "expert.star",
        "data_particles\nloop_\n_rlnImageName\n_rlnClassNumber\n1.mrc 1\n2.mrc 2\n3.mrc 0\n4.mrc 5\n",
    );
    let json = lab.cinetomo(&format!("{evaluate} expert.star --json")).json();
    assert_eq!((&json["n"], &json["n_without_label"]), (&2.into(), &4.into()));
    assert_eq!(json["unknown_classes"]["n_of"], serde_json::json!({"class 5": 1}));

    // A report leaves them out and says so; a calibration does not take them.
    let lab = Lab::new().with_data();
    let labels = lab.read("test.csv").replacen("apoferritin", "ice", 3);
    lab.write("some.csv", &labels);
    let report = "report -m tuned.safetensors --contrast dark -o report.html --json --force";
    let json = lab.cinetomo(&format!("{report} --labels some.csv")).json();
    assert_eq!(
        (&json["n"], &json["n_of_unknown_classes"]),
        (&21.into(), &serde_json::json!({"ice": 3}))
    );
    let says = "3 boxes are of classes that the model does not know";
    assert!(lab.read("report.html").contains(says));
    lab.write("none.csv", "path,label\n1@test.mrc,ice\n");
    lab.cinetomo(&format!("{report} --labels none.csv"))
        .fails(1, "none.csv: line 2, label: \"ice\" is none of the classes");
    lab.cinetomo(
        "calibrate -m tuned.safetensors --contrast dark --labels some.csv -o c.safetensors",
    )
    .fails(1, "\"ice\" is none of the classes");
}
