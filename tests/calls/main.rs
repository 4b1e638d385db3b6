//! Random calls through the table: valid, nearly valid and nonsense, in any order, from one thread and from several.
//!
//! A run is its seed. Each call is written down before it is made, and every outcome is judged: the status is none that means
//! a defect, outputs are written on success only and within their capacity, callbacks stay on their thread and end when they
//! say so, and the process lives. `make fuzz` runs it for long: CINETOMO_CALLS_SECONDS=600. A finding is replayed with
//! CINETOMO_CALLS_SEED=<seed>.

mod datasets;
mod draw;
mod models;
mod small;
mod tools;
mod world;

use std::{
    env,
    fs::{self, File},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use draw::Draw;
use world::World;

/// Tells the test `child` seed, threads and calls of each thread.
const RUN: &str = "CINETOMO_CALLS_RUN";

/// Address space of a run, in KiB or `unlimited`, unless CINETOMO_CALLS_MEMORY says otherwise: what asks for more gets
/// OUT_OF_MEMORY, and the process lives. Sanitizers need more than there is.
const ADDRESS_SPACE: &str = "12582912";

/// Run by the other test in a process of its own.
#[test]
fn child() {
    let Ok(run) = env::var(RUN) else { return };
    let numbers: Vec<u64> = run.split(' ').map(|n| n.parse().expect("a number")).collect();
    let [seed, n_threads, n_calls] = numbers[..] else { panic!("{RUN}={run}") };
    let directory = env::current_dir().expect("the folder of this run");
    let world = World::new(&directory, n_threads > 1);
    thread::scope(|scope| {
        for index in 0..n_threads {
            let (world, directory) = (&world, &directory);
            scope.spawn(move || {
                let name = directory.join(format!("calls.{index}"));
                let mut log = File::create(name).expect("a log");
                let mut draw = Draw::new(seed ^ (index << 56));
                for _ in 0..n_calls {
                    match draw.below(9) {
                        0 | 1 => small::run(world, &mut log, &mut draw),
                        2 | 3 => tools::run(world, &mut log, &mut draw),
                        4 => datasets::run(world, &mut log, &mut draw),
                        _ => models::run(world, &mut log, &mut draw),
                    }
                }
            });
        }
    });
}

/// Runs a seed in a process of its own; what went wrong, if anything did.
fn run(seed: u64, n_threads: u64, n_calls: u64) -> Result<(), String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let memory = env::var("CINETOMO_CALLS_MEMORY").unwrap_or(ADDRESS_SPACE.to_owned());
    let script = format!("ulimit -v {memory}; exec \"$0\" --exact child --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().expect("this test"))
        .current_dir(directory.path())
        .env(RUN, format!("{seed} {n_threads} {n_calls}"))
        .env("OMP_WAIT_POLICY", "passive")
        .output()
        .expect("this test again");
    let errors = String::from_utf8_lossy(&output.stderr);
    for line in errors.lines().filter(|line| line.starts_with("slow: ")) {
        eprintln!("seed {seed}: {line}");
    }
    if output.status.success() {
        return Ok(());
    }
    let mut text = format!("seed {seed}, {n_threads} threads: {}\n{errors}", output.status);
    for index in 0..n_threads {
        let log = directory.path().join(format!("calls.{index}"));
        let log = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        text += &format!("thread {index}, the last first: {last:?}\n");
    }
    Err(text)
}

#[test]
fn random_calls_never_break_the_host() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let time = Duration::from_secs(number("CINETOMO_CALLS_SECONDS").unwrap_or(20));
    let (start, mut n_runs, mut failures) = (Instant::now(), 0, Vec::new());
    let only: Option<u64> = number("CINETOMO_CALLS_SEED");
    let mut seed = only.unwrap_or(number("CINETOMO_CALLS_FIRST").unwrap_or(1));
    while n_runs == 0 || (only.is_none() && start.elapsed() < time) {
        // Every third run from three threads.
        let (n_threads, n_calls) = if seed.is_multiple_of(3) { (3, 60) } else { (1, 150) };
        if let Err(text) = run(seed, n_threads, n_calls) {
            eprintln!("{text}");
            failures.push(seed);
        }
        seed += 1;
        n_runs += 1;
    }
    println!("{n_runs} runs, {:.0} s", start.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "seeds {failures:?}: see above");
}
