//! How long simulated subtomograms take: one CSV row per setting.

mod plugin;

use std::{path::PathBuf, time::Instant};

use cinetomo_host::Hooks;
use clap::Parser;

/// Simulates subtomograms of the seven phantoms in turn.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// Subtomograms.
    #[arg(long, default_value_t = 1000)]
    n: usize,
    /// Voxels along an edge.
    #[arg(long, default_value_t = 32)]
    box_size: i64,
    /// Neighbours in each box.
    #[arg(long, value_delimiter = ',', default_value = "0,4")]
    neighbours: Vec<i32>,
    /// CPU threads; 0 = one per core.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<i32>,
}

fn main() {
    let options = Options::parse();
    let labels: Vec<i32> = (0..options.n).map(|index| (index % 7) as i32).collect();
    println!("n,box_size,neighbours,threads,seconds");
    for &n_threads in &options.threads {
        let context = plugin::context(&options.library, n_threads);
        let synthetic = context.synthetic().expect("the extension");
        for &n_neighbours in &options.neighbours {
            let mut scene = synthetic.options().expect("options");
            (scene.box_size, scene.n_neighbours) = (options.box_size, n_neighbours);
            let begin = Instant::now();
            synthetic.simulate(None, &labels, &scene, Hooks::none()).expect("subtomograms");
            let seconds = begin.elapsed().as_secs_f64();
            println!("{},{},{n_neighbours},{n_threads},{seconds:.1}", options.n, options.box_size);
        }
    }
}
