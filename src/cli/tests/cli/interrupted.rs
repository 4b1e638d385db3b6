//! Ctrl-C: runs stop within a batch, leave no half files, and go on where they can.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::lab::{Lab, leftovers};

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(300), "{} does not appear", path.display());
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &std::process::Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_training_goes_on_after_an_interruption_and_comes_to_the_same() {
    let lab = Lab::new().with_data();
    // Twelve boxes: an epoch takes seconds.
    lab.write_few(12);
    let train = "finetune -m tuned.safetensors --labels few.csv --contrast dark --epochs 4 --batch-size 6 --head random";
    lab.cinetomo(&format!("{train} -o whole.safetensors")).ok();
    let child = lab.start(&format!("{train} -o half.safetensors"));
    wait_for(&lab.at("half.safetensors.state"));
    signal(&child, "-INT");
    let run = Lab::end(child);
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stderr.contains("stopping after this batch"), "{run:?}");
    assert!(run.stderr.contains("the same command goes on from there"), "{run:?}");
    assert!(!lab.at("half.safetensors").exists());
    let run = lab.cinetomo(&format!("{train} -o half.safetensors"));
    assert!(run.stderr.contains("the training goes on from there"), "{run:?}");
    run.ok();
    assert_eq!(
        fs::read(lab.at("half.safetensors")).unwrap(),
        fs::read(lab.at("whole.safetensors")).unwrap(),
        "the model of a training that was stopped is that of one that was not"
    );
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn a_classification_leaves_nothing_behind() {
    let lab = Lab::new().with_data();
    // Ten thousand boxes take minutes.
    let many = vec!["test.mrc"; 400].join(" ");
    let child =
        lab.start(&format!("classify -m tuned.safetensors -i {many} --contrast dark -o no.csv"));
    // Outputs are started when all inputs are open: work has begun.
    let begin = Instant::now();
    while leftovers(&lab).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(120), "the work does not begin");
        thread::sleep(Duration::from_millis(20));
    }
    signal(&child, "-TERM");
    let begin = Instant::now();
    let run = Lab::end(child);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(!lab.at("no.csv").exists() && leftovers(&lab).is_empty());
}
