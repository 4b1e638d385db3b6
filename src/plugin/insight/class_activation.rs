//! Class activation maps: where in the box the evidence for a class lies.
//!
//! Grad-CAM: Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
//! equations 1 and 2, <https://arxiv.org/abs/1610.02391>. Respond-CAM: Zhao et al. 2018, "Respond-CAM: Analyzing Deep
//! Models for 3D Imaging Data by Visualizations", section 2.2, <https://arxiv.org/abs/1806.00102>.

use tch::{Kind, Tensor};

use crate::{
    allocation,
    backbone::{BatchNormMode, Network, Pass, View},
    error::{Error, Result},
    memory::Work,
    metrics::first_highest,
    model::{Head, Model, batch_size},
    monitor::{Monitor, Stage},
    volume::Volume,
};

/// How the channels of a map are weighed; a word of the C contract.
pub use cinetomo_abi::cinetomo_cam_method as CamMethod;

/// Keeps the weights of channels that are 0 throughout finite, as in Respond-CAM's published code.
const EPSILON: f64 = 1e-10;

/// What is to be explained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Name of the stage whose maps are weighed; `None` = the network's `cam_stage`.
    pub stage: Option<String>,
    /// The class; `None` = for each subtomogram the one that classification gives it.
    pub class: Option<usize>,
    /// How its channels are weighed.
    pub method: CamMethod,
    /// Whether evidence against the class is cut off at 0; `None` = as published: by Grad-CAM, not by Respond-CAM.
    pub rectify: Option<bool>,
}

impl Default for Explanation {
    /// The defaults of `cinetomo_grad_cam_options_init`.
    fn default() -> Explanation {
        Explanation { stage: None, class: None, method: CamMethod::GradCam, rectify: None }
    }
}

impl Model {
    /// For each subtomogram a map over its box of the evidence for a class, `[n, z, y, x]` in the order of the caller's
    /// axes. The stage's map is stretched over the whole box, linearly along each axis (see `enlarge`), whatever size the
    /// network's input has. The subtomogram is explained as it comes, not averaged over mirror images.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such class or stage, or if nothing of the box is left there; otherwise as
    /// `classify`.
    pub fn explain(
        &self,
        volume: &Volume<'_>,
        explanation: &Explanation,
        monitor: &mut Monitor<'_>,
    ) -> Result<Vec<f32>> {
        let index = self.explained_stage(explanation)?;
        let batch_size = self.explained_batch_size(volume.box_size(), index)?;
        let work = Work::Explaining { stage: index };
        self.in_batches(volume, monitor, Stage::Explain, (batch_size, work), |input, monitor| {
            let classes = match explanation.class {
                Some(class) => allocation::filled(input.size()[0] as usize, class as i64)?,
                None => self.predicted_classes(input, monitor)?,
            };
            let map = class_activation(&self.network, &self.head, input, &classes, explanation)?;
            volume.in_callers_axes(&enlarge(&map, volume.box_size())?)
        })
    }

    /// Index of the stage whose maps are weighed; checks the class too.
    fn explained_stage(&self, explanation: &Explanation) -> Result<usize> {
        let n_classes = self.class_names.len();
        if let Some(class) = explanation.class.filter(|class| *class >= n_classes) {
            return Err(Error::invalid(format!(
                "class {class}: the model has {n_classes} classes, counted from 0"
            )));
        }
        explained_stage(&self.network, explanation)
    }

    /// Subtomograms of size `box_size` that go through the network at once.
    fn explained_batch_size(&self, box_size: [i64; 3], index: usize) -> Result<usize> {
        let n_frozen = index + 1;
        let input_size = self.input_size(box_size)?;
        let cost = self.network.cost(input_size)?;
        Ok(batch_size(input_size, |n| cost.training(n, n_frozen)))
    }

    /// The class of each sample of an input `[n, 1, d, h, w]`, as classification gives it.
    fn predicted_classes(&self, input: &Tensor, monitor: &Monitor<'_>) -> Result<Vec<i64>> {
        let _guard = tch::no_grad_guard();
        let scores = self.score(input, monitor)?.log_probabilities;
        let rows = allocation::values::<f32>(&scores)?;
        let rows = rows.chunks(self.class_names.len());
        allocation::collected(rows.map(|row| first_highest(row) as i64))
    }
}

/// Index of the stage whose maps are weighed. Fails with `InvalidArgument` if there is none of that name or nothing of
/// the box is left in it.
fn explained_stage(network: &Network, explanation: &Explanation) -> Result<usize> {
    // A network that was cut may have lost its own.
    let usual = || match network.stage(network.spec().cam_stage) {
        Err(_) => network.cut_after.unwrap_or_default(),
        Ok((_, stage)) => stage.name,
    };
    let name = explanation.stage.as_deref().unwrap_or_else(usual);
    let (index, stage) = network.stage(name)?;
    if stage.has_positions() { Ok(index) } else { Err(no_evidence(network, name)) }
}

/// The evidence for classes in the map of a stage, `[n, z', y', x']` at the stage's own resolution, from the network's
/// input `[n, 1, z, y, x]` and a class for each sample. With A the map's channels k and s the class's logit:
///
/// the sum over k of w_k A_k, where w_k is the mean of ds/dA_k over the positions (Grad-CAM), or the sum over the
/// positions of A_k ds/dA_k over that of A_k (Respond-CAM, which makes the map add up to what the logit responds by;
/// meant for maps that are never negative, as those after a ReLU are).
///
/// # Errors
/// `InvalidArgument` if the network has no such stage or the class does not depend on its map.
pub fn class_activation(
    network: &Network,
    head: &Head,
    input: &Tensor,
    classes: &[i64],
    explanation: &Explanation,
) -> Result<Tensor> {
    let index = explained_stage(network, explanation)?;
    let (stage, pass) = (&network.stages[index], Pass::of(input, BatchNormMode::Running)?);
    let output = tch::no_grad(|| network.through(0..index + 1, input, pass))?;
    let gradient = gradient(network, head, &output, index, classes, pass)?;
    let (map, gradient) = (stage.map(&output, pass)?, stage.map(&gradient, pass)?);
    // What follows the last attention reads the class token alone.
    let of_tokens = matches!(stage.view, View::Tokens(_) | View::Sections(_));
    if of_tokens && !gradient.f_any()?.f_is_nonzero()? {
        return Err(no_evidence(network, stage.name));
    }
    let positions = [2i64, 3, 4].as_slice();
    let weights = match explanation.method {
        CamMethod::GradCam => gradient.f_mean_dim(positions, true, None)?,
        CamMethod::RespondCam => {
            let response =
                map.f_mul(&gradient)?.f_sum_dim_intlist(positions, true, None::<Kind>)?;
            let activity = map.f_sum_dim_intlist(positions, true, None::<Kind>)?;
            response.f_div(&activity.f_add_scalar(EPSILON)?)?
        }
    };
    let evidence =
        map.f_mul(&weights)?.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)?;
    let rectify = explanation.rectify.unwrap_or(explanation.method == CamMethod::GradCam);
    if rectify { Ok(evidence.f_relu()?) } else { Ok(evidence) }
}

/// The gradient of the logits of `classes` with respect to the output of stage `index`.
fn gradient(
    network: &Network,
    head: &Head,
    output: &Tensor,
    index: usize,
    classes: &[i64],
    pass: Pass,
) -> Result<Tensor> {
    tch::with_grad(|| {
        let output = output.f_detach()?.f_set_requires_grad(true)?;
        let features = network.through(index + 1..network.stages.len(), &output, pass)?;
        let classes = Tensor::f_from_slice(classes)?.f_to_device(output.device())?;
        let logits = head.forward(&features)?.f_gather(1, &classes.f_unsqueeze(1)?, false)?;
        // Samples do not see each other: the gradient of the sum holds that of each.
        let sum = logits.f_sum(None::<Kind>)?;
        let [gradient]: [Tensor; 1] = Tensor::f_run_backward(&[sum], &[output], false, false)?
            .try_into()
            .map_err(|_| Error::invalid("no gradient came back"))?;
        Ok(gradient)
    })
}

/// A map `[n, z', y', x']` stretched to `[n, z, y, x]`: linear along each axis between the centres of its positions,
/// which divide the box evenly; constant beyond the outermost.
pub fn enlarge(map: &Tensor, [z, y, x]: [i64; 3]) -> Result<Tensor> {
    let enlarged =
        map.f_unsqueeze(1)?.f_upsample_trilinear3d([z, y, x], false, None, None, None)?;
    Ok(enlarged.f_squeeze_dim(1)?)
}

/// What is said where a class does not depend on where in the box something is.
fn no_evidence(network: &Network, stage: &str) -> Error {
    let spec = network.spec();
    Error::invalid(format!(
        "stage {stage:?} of {}: the classes do not depend on positions in its output; take an earlier one, such as {:?}",
        spec.name, spec.cam_stage
    ))
}

#[cfg(test)]
#[path = "class_activation_test.rs"]
mod tests;
