//! Subtomograms that the host fetches, so that they need not fit into memory.
//!
//! The host's function runs on the thread that made the call, as all its functions do. So the work moves to a thread of its
//! own, which ends before the call does; the thread that made the call meanwhile fetches the batch that comes next, and
//! passes on progress and log lines.

use std::{
    panic::resume_unwind,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use log::{Level, Log, Metadata, Record};

use crate::{
    allocation::filled,
    error::{Error, ErrorKind, Result},
    model::Model,
    monitor::{Monitor, Progress, log_line, stopped},
    quiet::{Quiet, is_quiet},
    volume::{Axis, Contrast, FetchBoxes, Volume},
};

/// Stack of the thread that works: what the first thread of a process has on Linux, for libtorch expects no less.
const STACK_BYTES: usize = 8 << 20;

/// How often the thread that works looks whether to stop while it waits for the host.
const PATIENCE: Duration = Duration::from_millis(50);

/// Puts the voxels of boxes, given by their indices, into a buffer, one after the other.
type ReadBoxes<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<()> + 'a;

/// Subtomograms that a function of the host fetches.
pub struct Dataset<'a> {
    /// n, z, y, x, each at least 1.
    shape: [i64; 4],
    voxel_size: f64,
    contrast: Contrast,
    beam_axis: Axis,
    identity: Option<String>,
    read: Box<ReadBoxes<'a>>,
}

/// What the thread that works asks of the thread that made the call.
enum Request {
    Fetch(Vec<usize>, Sender<Result<Vec<f32>>>),
    Report(Progress, Sender<bool>),
    Log(Level, String),
}

impl<'a> Dataset<'a> {
    /// Subtomograms of `shape` `[n, z, y, x]`, whose voxels `read` puts into a buffer of the right size, full of NaN;
    /// `voxel_size` is in angstrom, 0 if unknown. `identity`: see `Volume::elsewhere`.
    pub fn new(
        shape: [i64; 4],
        voxel_size: f64,
        contrast: Contrast,
        beam_axis: Axis,
        identity: Option<String>,
        read: impl FnMut(&[usize], &mut [f32]) -> Result<()> + 'a,
    ) -> Dataset<'a> {
        Dataset { shape, voxel_size, contrast, beam_axis, identity, read: Box::new(read) }
    }

    /// Number of subtomograms.
    pub fn n(&self) -> i64 {
        self.shape[0]
    }

    /// Runs `work` on a thread of its own, after `prepare`, whose result it keeps meanwhile, and serves it until it is done.
    /// Nobody else can have the model meanwhile.
    pub fn serve<T: Send, G>(
        mut self,
        model: &mut Model,
        monitor: &mut Monitor<'_>,
        prepare: impl FnOnce() -> Result<G> + Send,
        work: impl FnOnce(&Model, &Volume<'_>, &mut Monitor<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let log = monitor.log();
        let (mut report, cancelled) = monitor.parts();
        let Dataset { shape, voxel_size, contrast, beam_axis, ref identity, .. } = self;
        let (identity, is_quiet) = (identity.clone(), is_quiet());
        thread::scope(|scope| {
            // Within the scope, so that a panic here lets go of both ends and the other thread does not wait for ever.
            let (requests, wanted) = channel();
            let body = move || {
                let _quiet = Quiet::inherited(is_quiet);
                let _prepared = prepare()?;
                let boxes = Remote { requests: requests.clone(), announced: None, cancelled };
                let volume =
                    Volume::elsewhere(boxes, shape, voxel_size, contrast, beam_axis, identity)?;
                let lines = Lines(requests.clone());
                let report = |progress: &Progress| {
                    let (reply, answer) = channel();
                    let asked = requests.send(Request::Report(*progress, reply));
                    asked.is_ok() && wait(&answer, cancelled).unwrap_or(false)
                };
                work(model, &volume, &mut Monitor::new(report, cancelled, &lines))
            };
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            let thread = thread.spawn_scoped(scope, body).map_err(|error| {
                let message = format!("a thread to compute in could not start: {error}");
                Error::new(ErrorKind::OutOfMemory, message)
            })?;
            // Ends when the other end is gone: the work is done, has failed or has panicked. Who asked may be gone, too.
            for request in wanted {
                match request {
                    Request::Fetch(indices, reply) => _ = reply.send(self.fetch(&indices)),
                    Request::Report(progress, reply) => _ = reply.send(report(progress)),
                    Request::Log(level, line) => log_line(log, level, format_args!("{line}")),
                }
            }
            thread.join().unwrap_or_else(|payload| resume_unwind(payload))
        })
    }

    fn fetch(&mut self, indices: &[usize]) -> Result<Vec<f32>> {
        let n_voxels = self.shape[1..].iter().product::<i64>() as usize * indices.len();
        // What is not written is found as NaN.
        let mut voxels = filled(n_voxels, f32::NAN).map_err(|_| {
            let message = format!("no memory for the voxels of {} boxes", indices.len());
            Error::new(ErrorKind::OutOfMemory, message)
        })?;
        (self.read)(indices, &mut voxels)?;
        Ok(voxels)
    }
}

/// Voxels, once they are there.
type Answer = Receiver<Result<Vec<f32>>>;

/// The boxes, as the thread that works has them.
struct Remote<'a> {
    requests: Sender<Request>,
    /// Boxes that are on their way.
    announced: Option<(Vec<usize>, Answer)>,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Remote<'_> {
    fn ask(&self, indices: &[usize]) -> Answer {
        let (reply, answer) = channel();
        // If nobody hears it, nobody answers, which `fetch` sees.
        _ = self.requests.send(Request::Fetch(indices.to_vec(), reply));
        answer
    }
}

impl FetchBoxes for Remote<'_> {
    fn announce(&mut self, indices: &[usize]) {
        self.announced = Some((indices.to_vec(), self.ask(indices)));
    }

    fn fetch(&mut self, indices: &[usize]) -> Result<Vec<f32>> {
        let answer = match self.announced.take() {
            Some((announced, answer)) if announced == indices => answer,
            _ => self.ask(indices),
        };
        wait(&answer, self.cancelled)?
    }
}

/// What the host answers. Fails once the call is to stop: the host may then never answer, as where it calls `exit()`.
fn wait<T>(answer: &Receiver<T>, cancelled: &dyn Fn() -> bool) -> Result<T> {
    loop {
        match answer.recv_timeout(PATIENCE) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Timeout) if cancelled() => return Err(stopped()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the thread that made the call is gone";
                return Err(Error::new(ErrorKind::Panic, message));
            }
        }
    }
}

/// Log lines on their way to the thread that made the call. Which levels are wanted is asked there.
struct Lines(Sender<Request>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // If nobody hears it, the work is about to end.
        _ = self.0.send(Request::Log(record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

#[cfg(test)]
#[path = "dataset_test.rs"]
mod tests;
