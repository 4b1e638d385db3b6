//! S3D: I3D with every 3D convolution split into one in the plane and one along time.
//!
//! Xie et al. 2018, "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification",
//! section 4.3 and figure 5, <https://arxiv.org/abs/1712.04851>; layers and names as in `torchvision.models.video`, which has no
//! feature gating. Time becomes the beam axis z.

use super::{
    Architecture, BackboneSpec, Stage,
    inception::{self, Inflation, Unit},
    layers::{BatchNormConfig, Chain, Conv3dConfig, Padding},
    video_resnet::{TORCHVISION_LICENCE, torchvision_range},
};
use crate::{error::Result, parameters::Parameters};

/// S3D.
pub static S3D: BackboneSpec = BackboneSpec {
    name: "s3d",
    paper: "Xie et al. 2018, Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification",
    source: "torchvision's S3D_Weights.KINETICS400_V1, s3d-d76dad2f.pth: trained on Kinetics-400",
    licence: TORCHVISION_LICENCE,
    choices: &[],
    recognise: |_| Vec::new(),
    input_range: torchvision_range,
    // pytorch/vision pull request 6537.
    video_size: [64, 224, 224],
    // The last maximum pool has whole windows of 2 x 2 x 2 only, after a stride of 4 along z and of 16 along y and x.
    min_input: [5, 17, 17],
    n_features: 1024,
    n_weights: 7_910_048,
    // Not measured: those of Jain, Li & Xu 2024, section 4.3.2, for another 3D network.
    learning_rates: [1e-4, 1e-3],
    // The last before the final pool halves the map once more.
    cam_stage: "Mixed_4f",
    head_weight: "classifier.1.weight",
    head_bias: "classifier.1.bias",
    ignored: &["num_batches_tracked"],
    build,
};

fn build(parameters: &mut Parameters, _: &Architecture) -> Result<Vec<Stage>> {
    let inflation = Inflation {
        // The numbers left out are maximum pools.
        #[rustfmt::skip]
        prefixes: [
            "features.0", "features.2", "features.3", "features.5", "features.6", "features.8",
            "features.9", "features.10", "features.11", "features.12", "features.14", "features.15",
        ],
        branches: [
            ".branch0",
            ".branch1.0",
            ".branch1.1",
            ".branch2.0",
            ".branch2.1",
            ".branch3.1",
        ],
        padding: Padding::Centred,
        unit,
    };
    inception::build(parameters, &inflation)
}

/// A convolution in the plane, then, unless the kernel is a single voxel, one along z.
fn unit(
    parameters: &mut Parameters,
    name: &str,
    Unit { channels: [n_in, n_out], kernel, stride }: Unit,
) -> Result<Chain> {
    let mut layer = |name: &str, n_in: i64, kernel: [i64; 3], stride: [i64; 3]| {
        let padding = Padding::Centred;
        let convolution = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: false };
        // torchvision's, from the authors.
        let batch_norm =
            BatchNormConfig { n_channels: n_out, epsilon: 1e-3, momentum: 1e-3, scale: true };
        let prefixes = [format!("{name}.0."), format!("{name}.1.")];
        let prefixes = prefixes.each_ref().map(String::as_str);
        Chain::new(parameters, prefixes, convolution, batch_norm)
    };
    if kernel == 1 {
        return layer(name, n_in, [1; 3], [stride; 3]);
    }
    let plane = layer(&format!("{name}.0"), n_in, [1, kernel, kernel], [1, stride, stride])?;
    let line = layer(&format!("{name}.1"), n_out, [kernel, 1, 1], [stride, 1, 1])?;
    Ok(plane.then(line))
}
