//! Time and memory of picking in a tomogram that is never in memory as a whole: one CSV row per setting.

mod plugin;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use cinetomo_host::{Hooks, Tomogram, abi::cinetomo_contrast as Contrast};
use clap::Parser;

/// Picks in noise that is made block by block, and prints seconds and the peak of the process's memory.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// Voxels along z, y, x.
    #[arg(long, value_delimiter = ',', default_value = "300,1000,1000")]
    shape: Vec<i64>,
    /// Diameter of the particles in angstrom that picking assumes; 0 = the rule of the paper's pipeline.
    #[arg(long, default_value_t = 130.0)]
    diameter: f64,
    /// Megabytes that blocks may take.
    #[arg(long, default_value_t = 512)]
    max_memory: u64,
    /// CPU threads; 0 = one per core.
    #[arg(long, default_value_t = 0)]
    threads: i32,
}

/// Edge of a voxel in angstrom.
const VOXEL_SIZE: f64 = 10.0;

fn main() {
    let options = Options::parse();
    let context = plugin::context(&options.library, options.threads);
    let picker = context.pick().expect("the extension");
    let mut how = picker.pick_options().expect("options");
    (how.particle_diameter, how.max_memory) = (options.diameter, options.max_memory << 20);
    let shape = [options.shape[0], options.shape[1], options.shape[2]];
    let (mut reading, mut n_read) = (Duration::ZERO, 0);
    let read = |start: [i64; 3], extent: [i64; 3], out: &mut [f32]| {
        let begin = Instant::now();
        for (row, out) in out.chunks_mut(extent[2] as usize).enumerate() {
            let (z, y) = (row as i64 / extent[1], row as i64 % extent[1]);
            let first = ((start[0] + z) * shape[1] + start[1] + y) * shape[2] + start[2];
            out.iter_mut().zip(first as u64..).for_each(|(voxel, index)| *voxel = noise(index));
        }
        reading += begin.elapsed();
        n_read += out.len();
        Ok(())
    };
    let mut tomogram = Tomogram::read_by(shape, VOXEL_SIZE, Contrast::Dark, read);
    let before = peak_memory();
    let begin = Instant::now();
    let picks = picker.pick(&mut tomogram, &how, Hooks::none()).expect("particles");
    let seconds = begin.elapsed().as_secs_f64();
    drop(tomogram);
    let n_voxels = shape.iter().product::<i64>() as f64;
    println!(
        "max_memory_mb,diameter,threads,picks,seconds,reading_s,voxels_read,before_mb,peak_mb"
    );
    println!(
        "{},{},{},{},{seconds:.0},{:.0},{:.2},{before},{}",
        options.max_memory,
        options.diameter,
        options.threads,
        picks.len(),
        reading.as_secs_f64(),
        n_read as f64 / n_voxels,
        peak_memory()
    );
}

/// Noise without order, the same whatever the blocks are: the finalizer of SplitMix64 (Steele, Lea and Flood 2014,
/// OOPSLA, page 453).
fn noise(index: u64) -> f32 {
    let mut bits = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits >> 40) as f32 / (1 << 24) as f32
}

/// Most megabytes of memory that this process has had. Only Linux says it.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
