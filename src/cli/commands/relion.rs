//! `cinetomo relion`: classification as an External job of RELION.
//!
//! The contract (RELION 5.0, `pipeline_jobs.cpp` and `pipeline_control.h`): the job is started in the project
//! directory as `<program> --o External/job012/ --in_parts particles.star --<label> <value> ... --j <threads>`, writes
//! everything into the directory after `--o`, and leaves there one of the files `RELION_JOB_EXIT_SUCCESS`, `_FAILURE`
//! and `_ABORTED`. A file `RELION_JOB_ABORT_NOW` asks it to stop. `RELION_OUTPUT_NODES.star` names what other jobs may
//! take; RELION fails a job whose nodes do not exist.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes, Contrast},
    console::Console,
    failure::{Failure, Result},
    interrupt,
    predictions::{Counts, Selection, classify},
    run_file::RunFile,
    session::Session,
};

const SUCCESS: &str = "RELION_JOB_EXIT_SUCCESS";
const FAILURE: &str = "RELION_JOB_EXIT_FAILURE";
const ABORTED: &str = "RELION_JOB_EXIT_ABORTED";
const ABORT_NOW: &str = "RELION_JOB_ABORT_NOW";
const NODES: &str = "RELION_OUTPUT_NODES.star";

/// How often the request to stop is looked for.
const POLL: Duration = Duration::from_millis(500);

/// Type of a list of particles: its label in RELION 4 and 5, its number in RELION 3.
const PARTICLES_LABEL: &str = "ParticleGroupMetadata.star.relion";
const PARTICLES_NUMBER: u32 = 3;

const EXAMPLES: &str = "\
In RELION's GUI: External, executable `cinetomo_relion` (beside this command), input particles,
and as parameters `model` with the model file, `contrast` with dark or bright, and any other
option below.

The job's directory gets particles.star (rlnClassNumber and the columns
cinetomoProbability_<class>; all else as it was) and classes.csv.

Example, as RELION starts it:
  cinetomo relion --o External/job012/ --in_parts Extract/job008/particles.star \\
      --model tuned.safetensors --contrast bright --j 8";

/// Runs an External job.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Relion {
    /// The job's directory
    #[arg(long = "o", value_name = "DIR")]
    o: PathBuf,
    /// Particles: 3D subtomograms
    #[arg(long = "in_parts", value_name = "STAR")]
    in_parts: PathBuf,
    /// CPU threads
    #[arg(long = "j", value_name = "N")]
    j: Option<i32>,
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    /// Particles against their surroundings; RELION's are bright as a rule
    #[arg(long, value_enum, default_value_t = Contrast::Unknown)]
    contrast: Contrast,
    /// Edge of a voxel in angstrom; by default as the list says
    #[arg(long, value_name = "ANGSTROM")]
    voxel_size: Option<f64>,
    #[command(flatten)]
    selection: Selection,
}

impl Relion {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        fs::create_dir_all(&self.o).map_err(|error| Failure::at(&self.o, error))?;
        for old in [SUCCESS, FAILURE, ABORTED, NODES] {
            // A job that is continued has those of its last run; what is not there need not go.
            _ = fs::remove_file(self.o.join(old));
        }
        let watch = Watch::start(self.o.join(ABORT_NOW));
        let result = self.work(global, console, run_file);
        watch.stop();
        let mark = match &result {
            Ok(_) => SUCCESS,
            Err(Failure::Interrupted) => ABORTED,
            Err(_) => FAILURE,
        };
        leave(&self.o, mark)?;
        let counts = result?;
        let json = json!({
            "output": [self.particles(), self.o.join("classes.csv")],
            "class_names": counts.class_names,
            "n_per_class": counts.n_per_class,
            "n_rejected": counts.n_rejected,
        });
        console.result(&counts.table(), &json)
    }

    fn particles(&self) -> PathBuf {
        self.o.join("particles.star")
    }

    fn work(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<Counts> {
        let global = Global { threads: self.j.unwrap_or(global.threads), ..global.clone() };
        let session = Session::start(&global, console)?;
        let model = session.context.model_load(&self.model)?;
        let args = BoxArgs {
            input: vec![self.in_parts.clone()],
            // Paths in lists are relative to the project, in which RELION starts its jobs.
            project: Some(PathBuf::from(".")),
            voxel_size: self.voxel_size,
            contrast: self.contrast,
            ..BoxArgs::default()
        };
        let boxes = Boxes::open(&args, console)?;
        let outputs = [self.particles(), self.o.join("classes.csv")];
        let reject = self.selection.reject_rules(&model, &self.model)?;
        let (all, selection) = (0..boxes.len(), &self.selection);
        let counts = classify(&session, &model, &boxes, all, reject, &outputs, selection)?;
        run_file.write(&self.particles())?;
        self.declare_nodes()?;
        Ok(counts)
    }

    /// Names the outputs that exist.
    fn declare_nodes(&self) -> Result<()> {
        let particles = self.particles();
        if !particles.exists() {
            return Ok(());
        }
        let text = format!(
            "\ndata_output_nodes\n\nloop_\n_rlnPipeLineNodeName #1\n_rlnPipeLineNodeTypeLabel #2\n_rlnPipeLineNodeType #3\n\
             {} {PARTICLES_LABEL} {PARTICLES_NUMBER}\n\n",
            particles.display()
        );
        Ok(cinetomo_formats::write(self.o.join(NODES), text.as_bytes())?)
    }
}

/// Leaves a mark for RELION.
fn leave(directory: &Path, mark: &str) -> Result<()> {
    let path = directory.join(mark);
    fs::write(&path, "").map_err(|error| Failure::at(&path, error))
}

/// Leaves the mark of failure in the job's directory of a command line that was not understood: without it RELION would
/// take the job for running for ever.
pub fn fail_relion_job(arguments: &[OsString]) {
    let is_relion = arguments.iter().any(|argument| argument == "relion");
    let at = arguments.iter().position(|argument| argument == "--o");
    let directory = at.and_then(|at| arguments.get(at + 1)).map(Path::new);
    if let Some(directory) = directory.filter(|directory| is_relion && directory.is_dir()) {
        // The run ends with an error anyway.
        _ = leave(directory, FAILURE);
    }
}

/// Looks for the request to stop until it is stopped itself.
struct Watch {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn start(request: PathBuf) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::SeqCst) {
                if request.exists() {
                    interrupt::request();
                    return;
                }
                thread::park_timeout(POLL);
            }
        });
        Watch { is_over, thread }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        // The thread cannot panic.
        _ = self.thread.join();
    }
}
