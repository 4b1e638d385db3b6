//! External jobs, by hand as RELION starts them and by RELION itself; boxes that RELION extracts.

use std::{fs, process::Command};

use cinetomo_formats::{csv::Results, star::Star, volumes};
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

/// Runs a program of RELION 3.1 in a directory; `make test` installs it.
fn relion(lab: &Lab, program: &str, arguments: &str) -> String {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_cinetomo")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(lab.path())
        .env("PATH", &path)
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; `src/setup/setup.py --tests` installs RELION 3.1")
        });
    assert!(output.status.success(), "{program} {arguments}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// RELION extracts particles again, centred on what its refinement found, from the same tomogram and list.
#[test]
fn boxes_are_those_that_relion_extracts() {
    let lab = Lab::new();
    let voxels = ndarray::Array3::from_shape_fn((30, 40, 50), |(z, y, x)| {
        ((z * 2000 + y * 50 + x) % 977) as f32 - 400.0
    });
    cinetomo_formats::mrc::write(lab.at("TS_1.mrc"), voxels.view(), 8.0).unwrap();
    lab.write(
        "mics.star",
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n\
         _rlnMicrographPixelSize #3\n_rlnVoltage #4\n_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\n\
         1 g1 8 300 2.7 0.1\n\n\n# version 30001\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n\
         _rlnOpticsGroup #2\nTS_1.mrc 1\n\n",
    );
    lab.write(
        "refined.star",
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n\
         _rlnImagePixelSize #3\n_rlnImageSize #4\n_rlnImageDimensionality #5\n_rlnVoltage #6\n\
         _rlnSphericalAberration #7\n_rlnAmplitudeContrast #8\n1 g1 8 8 3 300 2.7 0.1\n\n\n# version 30001\n\n\
         data_particles\n\nloop_\n_rlnMicrographName #1\n_rlnImageName #2\n_rlnCoordinateX #3\n\
         _rlnCoordinateY #4\n_rlnCoordinateZ #5\n_rlnOriginXAngst #6\n_rlnOriginYAngst #7\n\
         _rlnOriginZAngst #8\n_rlnAngleRot #9\n_rlnAngleTilt #10\n_rlnAnglePsi #11\n_rlnOpticsGroup #12\n\
         TS_1.mrc a.mrc 21 20 15 8 -8 16 10 20 30 1\nTS_1.mrc b.mrc 20 21 14 0 0 0 10 20 30 1\n\
         TS_1.mrc c.mrc 30 12 9 -24 16 -8 1 2 3 1\n\n",
    );
    let again =
        "--i mics.star --reextract_data_star refined.star --recenter --extract --extract_size 8";
    relion(
        &lab,
        "relion_preprocess",
        &format!("{again} --part_dir Particles/ --part_star relion.star"),
    );
    lab.cinetomo("extract -i TS_1.mrc --particles refined.star --box-size 8 -o boxes.mrcs").ok();
    let ours = volumes::open(lab.at("boxes.mrcs")).unwrap();
    for index in 0..3 {
        let name = format!("Particles/TS_1{:06}.mrc", index + 1);
        let theirs = volumes::open(lab.at(&name)).unwrap().read(0).unwrap();
        let difference = (ours.read(index).unwrap() - theirs).mapv(f32::abs);
        assert!(difference.iter().all(|&difference| difference < 1e-3), "{name}: {difference}");
    }
    let positions = |list: &str| -> Vec<[f64; 3]> {
        let star = Star::read(&lab.at(list)).unwrap();
        let table = star.table("particles").unwrap().unwrap();
        let columns =
            ["X", "Y", "Z"].map(|axis| table.column(&format!("rlnCoordinate{axis}")).unwrap());
        table.rows().map(|row| columns.map(|column| row.get(column).number().unwrap())).collect()
    };
    assert_eq!(positions("boxes.star"), positions("relion.star"));
}

/// RELION 3.1's own pipeline runs the job, and its own tools read what the job wrote.
#[test]
fn relion_itself_runs_the_job() {
    let lab = project();
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
    relion(&lab, "relion_pipeliner", "--addJobFromStar job.star");
    let run = "--RunJobs External/job002/ --schedule once --sec_wait_after 1";
    relion(&lab, "relion_pipeliner", run);
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
    let select = "--select rlnClassNumber --minval 1.5 --maxval 2.5";
    let list = "--i External/job002/particles.star --o selected.star";
    relion(&lab, "relion_star_handler", &format!("{list} {select}"));
    let selected = Star::read(&lab.at("selected.star")).unwrap();
    let table = selected.table("particles").unwrap().unwrap();
    assert_eq!(table.n_rows(), expected);
    assert!(
        table.column("cinetomoProbability_hemagglutinin").is_some(),
        "RELION keeps our columns"
    );
}
