//! The README's way from nothing to a classified tomogram, as it is printed.

use std::{fs, os::unix::fs::symlink, process::Command};

use cinetomo_tests::{i3d_checkpoint, library, root};

use crate::lab::{Lab, leftovers};

#[test]
fn the_readmes_ten_commands_work() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rest = readme.split("```sh\n").nth(1).expect("a block of commands");
    let block = rest.split("```").next().expect("its end");
    let commands = block.replace("\\\n", " ");
    let commands: Vec<&str> = commands.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(commands.len(), 10, "{commands:?}");

    let lab = Lab::new();
    fs::create_dir_all(lab.at("bin")).unwrap();
    fs::create_dir_all(lab.at("plugins")).unwrap();
    fs::create_dir_all(lab.at("work")).unwrap();
    symlink(env!("CARGO_BIN_EXE_cinetomo"), lab.at("bin/cinetomo")).unwrap();
    let manifest = serde_json::json!({
        "manifest_version": 1, "name": "cinetomo", "version": "0.1.0", "library": library(),
        "entry": "cinetomo_get_api", "abi_versions": [1],
    });
    lab.write("plugins/cinetomo.json", manifest.to_string());
    let path = std::env::var("PATH").unwrap();
    let mut last = String::new();
    for command in &commands {
        assert!(command.starts_with("cinetomo "), "{command}");
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(lab.at("work"))
            .env("PATH", format!("{}:{path}", lab.at("bin").display()))
            .env("CINETOMO_PLUGIN_PATH", lab.at("plugins"))
            .env("CINETOMO_I3D", i3d_checkpoint())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{stderr}");
        // Nine boxes to calibrate on are few, and that is said.
        let warns = |line: &str| line.contains("warning") && !line.contains("rough guess");
        assert!(!stderr.lines().any(warns), "{command}\n{stderr}");
        last = String::from_utf8(output.stdout).unwrap();
    }
    assert!(last.contains("classes.star"), "{last}");
    assert!(lab.at("work/classes.png").exists());
    // Three classes at SNR 1: chance is a third.
    let json = lab
        .cinetomo("evaluate --scores work/test_classes.csv --labels work/test_boxes.star --json")
        .json();
    assert!(json["accuracy"].as_f64().unwrap() > 0.6, "{json}");
    assert!(leftovers(&lab).is_empty());
}
