//! External jobs: by hand as RELION starts them, and by RELION itself where it is installed.

use std::{fs, process::Command};

use cinetomo_formats::{csv::Results, star::Star};
use cinetomo_tests::{library, root};

use crate::lab::{Lab, leftovers};

/// A RELION project with a list of the boxes in `test.mrc`.
fn project() -> Lab {
    let lab = Lab::new().with_data();
    fs::create_dir_all(lab.at("Extract/job001")).unwrap();
    fs::copy(lab.at("test.mrc"), lab.at("Extract/job001/boxes.mrc")).unwrap();
    let mut text = "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n\
                    _rlnSphericalAberration #3\n_rlnVoltage #4\n_rlnImagePixelSize #5\n_rlnImageSize #6\n\
                    _rlnImageDimensionality #7\n1 opticsGroup1 2.7 300 10 32 3\n\n\n# version 30001\n\ndata_particles\n\n\
                    loop_\n_rlnMicrographName #1\n_rlnImageName #2\n_rlnOpticsGroup #3\n"
        .to_owned();
    for index in 1..=24 {
        text += &format!("tomogram_{} {index:06}@Extract/job001/boxes.mrc 1\n", index % 2);
    }
    lab.write("Extract/job001/particles.star", text + "\n");
    lab
}

const JOB: &str = "relion --o External/job002/ --in_parts Extract/job001/particles.star --model tuned.safetensors \
                   --contrast dark --j 1";

#[test]
fn a_job_succeeds_and_declares_what_it_wrote() {
    let lab = project();
    lab.cinetomo(JOB).ok();
    let at = |name: &str| lab.at(&format!("External/job002/{name}"));
    assert!(at("RELION_JOB_EXIT_SUCCESS").exists());
    assert!(!at("RELION_JOB_EXIT_FAILURE").exists() && !at("RELION_JOB_EXIT_ABORTED").exists());
    let nodes = Star::read(&at("RELION_OUTPUT_NODES.star")).unwrap();
    let table = nodes.table("output_nodes").unwrap().unwrap();
    assert_eq!(table.n_rows(), 1);
    let (name, label) =
        (table.column("rlnPipeLineNodeName"), table.column("rlnPipeLineNodeTypeLabel"));
    let row = table.row(0);
    let node = row.get(name.unwrap()).text().unwrap();
    assert_eq!(node, "External/job002/particles.star");
    assert!(lab.at(node).exists());
    assert_eq!(row.get(label.unwrap()).text().unwrap(), "ParticleGroupMetadata.star.relion");
    let results = Results::read(&at("classes.csv")).unwrap();
    let star = Star::read(&lab.at(node)).unwrap();
    let table = star.table("particles").unwrap().unwrap();
    let class = table.column("rlnClassNumber").unwrap();
    let classes: Vec<i64> = table.rows().map(|row| row.get(class).integer().unwrap()).collect();
    let expected: Vec<i64> =
        results.classes.iter().map(|class| class.unwrap() as i64 + 1).collect();
    assert_eq!(classes, expected);
    // A job that is continued writes over its own results.
    lab.cinetomo(JOB).ok();
}

#[test]
fn a_job_that_fails_says_so() {
    let lab = project();
    lab.cinetomo(JOB).ok();
    let at = |name: &str| lab.at(&format!("External/job002/{name}"));
    let failed = || {
        assert!(at("RELION_JOB_EXIT_FAILURE").exists() && !at("RELION_JOB_EXIT_SUCCESS").exists());
    };
    lab.cinetomo(&JOB.replace("tuned.safetensors", "none.safetensors"))
        .fails(1, "none.safetensors");
    failed();
    assert!(!at("RELION_OUTPUT_NODES.star").exists());
    fs::remove_file(at("RELION_JOB_EXIT_FAILURE")).unwrap();
    lab.cinetomo(&format!("{JOB} --modle x")).fails(2, "--modle");
    assert!(at("RELION_JOB_EXIT_FAILURE").exists());
}

#[test]
fn a_job_can_be_aborted() {
    let lab = project();
    // Long enough that the request is seen: the rows again and again.
    let list = lab.read("Extract/job001/particles.star");
    let (head, rows) = list.split_at(list.find("tomogram_1").unwrap());
    let rows: Vec<&str> = rows.trim_end().lines().cycle().take(8000).collect();
    lab.write("Extract/job001/particles.star", format!("{head}{}\n", rows.join("\n")));
    fs::create_dir_all(lab.at("External/job002")).unwrap();
    let child = lab.start(JOB);
    std::thread::sleep(std::time::Duration::from_secs(3));
    lab.write("External/job002/RELION_JOB_ABORT_NOW", "");
    let run = Lab::end(child);
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(lab.at("External/job002/RELION_JOB_EXIT_ABORTED").exists());
    assert!(!lab.at("External/job002/particles.star").exists());
    assert!(!lab.at("External/job002/RELION_OUTPUT_NODES.star").exists());
    assert!(leftovers(&lab).is_empty());
}

/// RELION 3.1's own pipeline runs the job, and its own tools read what the job wrote. The Debian package `relion` has
/// them; without it there is nothing to test with.
#[test]
fn relion_itself_runs_the_job() {
    let exists = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if !exists("relion_pipeliner") || !exists("relion_star_handler") {
        eprintln!("relion is not installed: apt-get install relion");
        return;
    }
    let lab = project();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_cinetomo")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let relion = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(lab.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    lab.write(".gui_projectdir", "");
    lab.write(
        "default_pipeline.star",
        "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter                       2\n\n",
    );
    let program = root().join("examples/relion/cinetomo_relion");
    let mut options = format!(
        "\n# version 30001\n\ndata_job\n\n_rlnJobType 99\n_rlnJobIsContinue 0\n\n\n# version 30001\n\n\
         data_joboptions_values\n\nloop_\n_rlnJobOptionVariable #1\n_rlnJobOptionValue #2\ndo_queue No\n\
         fn_exe \"{}\"\nin_part Extract/job001/particles.star\nmin_dedicated 1\nnr_threads 1\nqsub qsub\n\
         qsubscript \"\"\nqueuename openmpi\nother_args \"--plugin {} --device cpu\"\n",
        program.display(),
        library().display()
    );
    for name in ["in_3dref", "in_coords", "in_mask", "in_mic", "in_mov"] {
        options += &format!("{name} \"\"\n");
    }
    for number in 1..=10 {
        let (label, value) = match number {
            1 => ("model", "tuned.safetensors"),
            2 => ("contrast", "dark"),
            _ => ("\"\"", "\"\""),
        };
        options += &format!("param{number}_label {label}\nparam{number}_value {value}\n");
    }
    lab.write("job.star", options + "\n");
    relion("relion_pipeliner", &["--addJobFromStar", "job.star"]);
    relion(
        "relion_pipeliner",
        &["--RunJobs", "External/job002/", "--schedule", "once", "--sec_wait_after", "1"],
    );
    let log = lab.read("External/job002/run.err") + &lab.read("External/job002/run.out");
    assert!(lab.at("External/job002/RELION_JOB_EXIT_SUCCESS").exists(), "{log}");
    // The pipeline knows the list as an output of the job, of the type of particles (3).
    let pipeline = lab.read("default_pipeline.star");
    let node = pipeline.lines().find(|line| line.starts_with("External/job002/particles.star"));
    assert_eq!(node.unwrap().split_whitespace().nth(1), Some("3"), "{pipeline}");
    assert!(pipeline.contains("External/job002/ External/job002/particles.star"), "{pipeline}");

    // RELION selects a class of it.
    let results = Results::read(&lab.at("External/job002/classes.csv")).unwrap();
    let expected = results.classes.iter().filter(|class| **class == Some(1)).count();
    relion(
        "relion_star_handler",
        &[
            "--i",
            "External/job002/particles.star",
            "--o",
            "selected.star",
            "--select",
            "rlnClassNumber",
            "--minval",
            "1.5",
            "--maxval",
            "2.5",
        ],
    );
    let selected = Star::read(&lab.at("selected.star")).unwrap();
    let table = selected.table("particles").unwrap().unwrap();
    assert_eq!(table.n_rows(), expected);
    assert!(
        table.column("cinetomoProbability_hemagglutinin").is_some(),
        "RELION keeps our columns"
    );
}
