//! Simulated subtomograms of the built-in phantoms.

use cinetomo_host::{Context, Hooks, Volume};

/// Subtomograms, with the labels that a model knows them by.
pub struct Data {
    voxels: Vec<f32>,
    pub labels: Vec<i32>,
    edge: i64,
}

impl Data {
    /// One of each of these phantoms.
    pub fn simulate(context: &Context, phantoms: &[i32], snr: f64, seed: u64) -> Data {
        let synthetic = context.synthetic().expect("the extension");
        let mut options = synthetic.options().expect("options");
        (options.snr, options.seed) = (snr, seed);
        let voxels =
            synthetic.simulate(None, phantoms, &options, Hooks::none()).expect("subtomograms");
        Data { voxels, labels: phantoms.to_vec(), edge: options.box_size }
    }

    pub fn volume(&self) -> Volume<'_> {
        let shape = [self.labels.len() as i64, self.edge, self.edge, self.edge];
        Volume::new(&self.voxels, shape).expect("a volume").voxel_size(10.0)
    }
}
