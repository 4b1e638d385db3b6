//! What a training starts from: a model file, a video checkpoint, or random numbers.

use std::path::PathBuf;

use cinetomo_host::{
    Hooks, Model, ModelOptions, Plugin,
    abi::{cinetomo_interpolation, cinetomo_normalization, cinetomo_preprocess},
};
use clap::{Args, ValueEnum};

use crate::{
    boxes::Contrast,
    failure::{Failure, Result},
    session::Session,
};

/// How a network is made.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Start from this video checkpoint
    #[arg(long, value_name = "FILE", env = "CINETOMO_I3D", hide_env_values = true)]
    pub checkpoint: Option<PathBuf>,
    /// Start from random numbers, the baseline, even if there is a checkpoint
    #[arg(long)]
    pub random: bool,
    /// The network; by default recognised from the checkpoint
    #[arg(long, value_name = "NAME")]
    pub backbone: Option<String>,
    /// Size that boxes are brought to along the beam and the other axes, such as 32 128 128 (the paper's); 0 = as
    /// they come
    #[arg(long, value_names = ["D", "H", "W"], num_args = 3)]
    pub input_size: Vec<i64>,
    /// How grey values are brought into the network's range [default: min-max]
    #[arg(long, value_enum)]
    pub normalization: Option<Normalization>,
    /// How boxes are resized [default: bicubic]
    #[arg(long, value_enum)]
    pub interpolation: Option<Interpolation>,
    /// Contrast that the network sees: volumes of the other one are negated
    #[arg(long, value_enum, default_value_t = Contrast::Unknown)]
    pub network_contrast: Contrast,
    /// Mirror images that classification averages over: 1, 4 or 8. Takes as many times longer [default: 8]
    #[arg(long, value_name = "N")]
    pub views: Option<i32>,
    /// Dropout before the head while training [default: 0]
    #[arg(long, value_name = "P")]
    pub dropout: Option<f64>,
}

/// How grey values are brought into the network's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Normalization {
    /// Each box's minimum and maximum (the paper's)
    MinMax,
    /// Each box's mean and standard deviation
    ZScore,
    /// Between two percentiles of each box: robust to hot voxels
    Percentile,
}

/// How boxes are resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Interpolation {
    /// Cubic convolution
    Bicubic,
    /// Linear
    Linear,
    /// Nearest neighbour
    Nearest,
}

impl NetworkArgs {
    /// Makes the network.
    ///
    /// # Errors
    /// Neither or both starts are named, an option is out of range, or the checkpoint does not load.
    pub fn make(&self, session: &Session, class_names: &[String], seed: u64) -> Result<Model> {
        let mut options = ModelOptions::new(class_names);
        options.backbone = self.backbone.clone();
        options.preprocess = Some(self.preprocess(session.plugin));
        options.seed = seed;
        options.dropout = self.dropout.unwrap_or(options.dropout);
        if self.random {
            return Ok(session.context.model_random(&options)?);
        }
        let Some(checkpoint) = &self.checkpoint else {
            return Err(Failure::Usage(
                "nothing to start from: name a video checkpoint with --checkpoint (or CINETOMO_I3D), or ask for --random"
                    .to_owned(),
            ));
        };
        let bar = session.console.bar("loading");
        session.call(&bar, |hooks: Hooks<'_>| {
            session.context.model_from_video(checkpoint, &options, hooks)
        })
    }

    fn preprocess(&self, plugin: Plugin) -> cinetomo_preprocess {
        let mut preprocess = plugin.preprocess_options();
        if let [depth, height, width] = self.input_size[..] {
            preprocess.input_size = [depth, height, width];
        }
        if let Some(normalization) = self.normalization {
            preprocess.normalization = match normalization {
                Normalization::MinMax => cinetomo_normalization::MinMax,
                Normalization::ZScore => cinetomo_normalization::ZScore,
                Normalization::Percentile => cinetomo_normalization::Percentile,
            } as i32;
        }
        if let Some(interpolation) = self.interpolation {
            preprocess.interpolation = match interpolation {
                Interpolation::Bicubic => cinetomo_interpolation::Bicubic,
                Interpolation::Linear => cinetomo_interpolation::Linear,
                Interpolation::Nearest => cinetomo_interpolation::Nearest,
            } as i32;
        }
        preprocess.contrast = self.network_contrast.of_contract() as i32;
        preprocess.n_views = self.views.unwrap_or(preprocess.n_views);
        preprocess
    }
}
