//! Experiments: records that go on where they were stopped, and tables beside the paper's.

use std::process::Command;

use crate::lab::{Lab, leftovers};

#[test]
fn an_experiment_goes_on_and_ends_in_a_table() {
    let lab = Lab::new().with_data();
    let checkpoint = cinetomo_tests::i3d_checkpoint();
    let experiment = |more: &str| {
        lab.cinetomo(&format!(
            "experiment --labels train.csv --checkpoint {} --contrast dark --views 1 --epochs 0 --paper real --json \
             -o records.csv {more}",
            checkpoint.display()
        ))
    };
    let json = experiment("--fractions 0.5,1 --starts probe,random --seeds 0").json();
    assert_eq!(json["n_runs"], 4);
    let records = lab.read("records.csv");
    let rows: Vec<Vec<&str>> =
        records.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // 36 boxes: 21 to train on (7 of each class), 7 or 8 to test on; half of 7 is 4 or 3.
    for row in &rows {
        let (n_train, n_test): (usize, usize) = (row[4].parse().unwrap(), row[5].parse().unwrap());
        let expected = if row[1] == "1" { 18..=24 } else { 9..=12 };
        assert!(expected.contains(&n_train) && (6..=9).contains(&n_test), "{row:?}");
        let accuracy: f64 = row[7].parse().unwrap();
        let n_right = accuracy * n_test as f64;
        assert!((n_right - n_right.round()).abs() < 1e-9, "{row:?}");
    }
    // The probe of video features is better than chance.
    let probe = rows.iter().find(|row| row[1] == "1" && row[2] == "probe").unwrap();
    assert!(probe[7].parse::<f64>().unwrap() > 0.5, "{probe:?}");

    // Killed in the middle of a line; two runs are there, three are made.
    let mut cut: String = records.lines().take(3).map(|line| format!("{line}\n")).collect();
    cut += "train,1,pro";
    lab.write("records.csv", &cut);
    let run = experiment("--fractions 0.5,1 --starts probe,random --seeds 0");
    assert!(run.stderr.contains("2 of 4 runs are there already"), "{run:?}");
    let json = run.json();
    assert_eq!(json["n_runs"], 4);
    assert!(lab.read("records.csv").starts_with(&cut[..cut.rfind('\n').unwrap()]));
    // Scores are those of the first time: everything random has a seed.
    let scores = |text: &str| -> Vec<String> {
        let mut rows: Vec<String> = text
            .lines()
            .map(|line| line.split(',').take(10).collect::<Vec<_>>().join(","))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(scores(&lab.read("records.csv")), scores(&records));

    let table = lab.read("records.md");
    assert!(table.contains("| train | 100 | random |"), "{table}");
    assert!(table.contains("| 98.67 | 0.9998 | 1 |"), "{table}");
    let other = lab.cinetomo(
        "experiment --labels train.csv --random --contrast dark --epochs 3 -o records.csv",
    );
    other.fails(1, "its runs were made with another --");
    assert!(leftovers(&lab).is_empty());
}

/// Archives as MedMNIST3D's, of boxes of 28^3 and 64^3 voxels, written by numpy.
fn write_medmnist(lab: &Lab) {
    let script = cinetomo_tests::root().join("src/cli/tests/cli/medmnist.py");
    let status = Command::new(cinetomo_tests::python())
        .arg(script)
        .args(["train.mrc", "organmnist3d.npz", "organmnist3d_64.npz"])
        .current_dir(lab.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn medmnist_gives_its_row_of_table_2() {
    let lab = Lab::new().with_data();
    write_medmnist(&lab);
    let json = lab.cinetomo("info organmnist3d.npz --json").json();
    assert_eq!(json["files"][0]["n"], serde_json::json!({"train": 18, "val": 6, "test": 12}));
    let json = lab
        .cinetomo("experiment --medmnist organmnist3d.npz --random --starts random --epochs 0 --views 1 --augment none --seeds 0,1 -o organ.csv --json")
        .json();
    let row = &json["rows"][0];
    assert_eq!((&row["dataset"], &row["n_runs"]), (&"organmnist3d".into(), &2.into()));
    assert_eq!(row["paper"], serde_json::json!({"accuracy_percent": 90.26, "auc": 0.9937}));
    assert!(row["accuracy_percent"]["sd"].is_number());
    let records = lab.read("organ.csv");
    assert!(records.contains("organmnist3d,1,random,0,18,12,3,"), "{records}");

    lab.cinetomo("classify -m tuned.safetensors -i organmnist3d.npz -o c.csv")
        .fails(2, "say which part with --part");
    lab.cinetomo("finetune --random --views 1 --preset probe --augment none -i organmnist3d.npz --part train -o m.safetensors").ok();
    lab.cinetomo("classify -m m.safetensors -i organmnist3d.npz --part test -o c.csv").ok();
    assert_eq!(lab.read("c.csv").lines().count(), 13);

    let info = lab.cinetomo("info organmnist3d_64.npz").ok();
    assert!(info.contains("volumes of [64, 64, 64] voxels"), "{info}");
    let json = lab
        .cinetomo(
            "experiment --medmnist organmnist3d_64.npz --random --backbone resnet3d_10 --starts random --epochs 0 \
             --views 1 --augment none --seeds 0 -o organ_64.csv --json",
        )
        .json();
    let row = &json["rows"][0];
    assert_eq!((&row["dataset"], &row["n_runs"]), (&"organmnist3d_64".into(), &1.into()));
    assert_eq!(row["paper"]["accuracy_percent"], 90.26);
}
