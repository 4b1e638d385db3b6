//! Recall and precision of picking on simulated tomograms whose particles are known: one CSV row per setting.

mod plugin;

use std::{path::PathBuf, time::Instant};

use cinetomo_host::{
    Context, Hooks, Picked, Tomogram, Volume,
    abi::{cinetomo_contrast, cinetomo_synthetic_particle as Particle},
};
use clap::Parser;

/// Simulates tomograms, picks, and prints how many particles were found.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// Signal-to-noise ratios.
    #[arg(long, value_delimiter = ',', default_value = "1,0.3,0.1,0.03,0.01")]
    snr: Vec<f64>,
    /// Voxels along z, y, x.
    #[arg(long, value_delimiter = ',', default_value = "100,300,300")]
    shape: Vec<i64>,
    /// Particles in a tomogram: the seven phantoms in turn.
    #[arg(long, default_value_t = 210)]
    particles: usize,
    /// Diameter of the particles in angstrom that picking assumes; 0 = the rule of the paper's pipeline.
    #[arg(long, value_delimiter = ',', default_value = "130,0")]
    diameter: Vec<f64>,
    /// Smallest distance between picks in angstrom.
    #[arg(long, default_value_t = 90.0)]
    min_distance: f64,
    /// Thresholds.
    #[arg(long, value_delimiter = ',', default_value = "3")]
    threshold: Vec<f64>,
    /// Threshold rule: 0 range of the peaks, 1 deviations, 2 score.
    #[arg(long, default_value_t = 1)]
    rule: i32,
    /// Defocus in micrometre; 0 = in focus.
    #[arg(long, default_value_t = 5.0)]
    defocus: f64,
    /// A pick this near to a particle, in angstrom, has found it.
    #[arg(long, default_value_t = 50.0)]
    tolerance: f64,
    /// CPU threads; 0 = one per core.
    #[arg(long, default_value_t = 0)]
    threads: i32,
    /// Seeds.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seed: Vec<u64>,
}

/// Edge of a voxel in angstrom.
const VOXEL_SIZE: f64 = 10.0;

fn main() {
    let options = Options::parse();
    let context = plugin::context(&options.library, options.threads);
    println!(
        "snr,diameter,threshold,seed,picks,recall,precision,average_precision,error_angstrom,pick_s"
    );
    for &snr in &options.snr {
        for &seed in &options.seed {
            let (voxels, truth) = simulate(&context, &options, snr, seed);
            for &diameter in &options.diameter {
                for &threshold in &options.threshold {
                    let row = measure(&context, &options, &voxels, &truth, diameter, threshold);
                    println!("{snr},{diameter},{threshold},{seed},{row}");
                }
            }
        }
    }
}

fn simulate(
    context: &Context,
    options: &Options,
    snr: f64,
    seed: u64,
) -> (Vec<f32>, Vec<Particle>) {
    let synthetic = context.synthetic().expect("the extension");
    let labels: Vec<i32> = (0..options.particles).map(|index| (index % 7) as i32).collect();
    let mut scene = synthetic.options().expect("options");
    (scene.snr, scene.seed, scene.voxel_size) = (snr, seed, VOXEL_SIZE);
    scene.defocus = options.defocus;
    let shape = [options.shape[0], options.shape[1], options.shape[2]];
    synthetic.simulate_tomogram(None, &labels, shape, &scene, Hooks::none()).expect("a tomogram")
}

fn measure(
    context: &Context,
    options: &Options,
    voxels: &[f32],
    truth: &[Particle],
    diameter: f64,
    threshold: f64,
) -> String {
    let picker = context.pick().expect("the extension");
    let mut how = picker.pick_options().expect("options");
    (how.particle_diameter, how.threshold) = (diameter, threshold);
    how.min_distance = options.min_distance / VOXEL_SIZE;
    (how.threshold_rule, how.n_max) = (options.rule, 100_000);
    let shape = [1, options.shape[0], options.shape[1], options.shape[2]];
    let volume = Volume::new(voxels, shape)
        .expect("a volume")
        .voxel_size(VOXEL_SIZE)
        .contrast(cinetomo_contrast::Dark);
    let begin = Instant::now();
    let picks =
        picker.pick(&mut Tomogram::in_memory(volume), &how, Hooks::none()).expect("particles");
    let seconds = begin.elapsed().as_secs_f64();
    let found = match_up(&picks, truth, options.tolerance / VOXEL_SIZE);
    let n_found = found.iter().flatten().count();
    let error = found.iter().flatten().sum::<f64>() / n_found.max(1) as f64 * VOXEL_SIZE;
    // Area under precision over recall, picks in the order of their scores.
    let (mut hits, mut area) = (0.0, 0.0);
    for (index, hit) in found.iter().enumerate() {
        if hit.is_some() {
            hits += 1.0;
            area += hits / (index + 1) as f64;
        }
    }
    format!(
        "{},{:.3},{:.3},{:.3},{error:.1},{seconds:.2}",
        picks.len(),
        n_found as f64 / truth.len() as f64,
        n_found as f64 / picks.len().max(1) as f64,
        area / truth.len() as f64,
    )
}

/// For each pick, the best first, the distance to the nearest particle that no better pick has found, if it is within
/// the tolerance.
fn match_up(picks: &[Picked], truth: &[Particle], tolerance: f64) -> Vec<Option<f64>> {
    let mut is_found = vec![false; truth.len()];
    let mut matches = Vec::with_capacity(picks.len());
    for pick in picks {
        let nearest = truth
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_found[*index])
            .map(|(index, particle)| {
                let square: f64 = (0..3)
                    .map(|i| (f64::from(pick.position[i]) - particle.position[i]).powi(2))
                    .sum();
                (index, square.sqrt())
            })
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, distance)| *distance <= tolerance);
        matches.push(nearest.map(|(index, distance)| {
            is_found[index] = true;
            distance
        }));
    }
    matches
}
