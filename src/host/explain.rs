//! Where in the box the evidence for a class lies.

use std::ptr;

use cinetomo_abi::{cinetomo_cam_method, cinetomo_grad_cam_options};

use crate::{
    Hooks, Model, Volume,
    buffer::fetch,
    error::{Error, c_string},
};

/// What `Model::grad_cam` explains, and how; see `cinetomo_grad_cam_options`.
#[derive(Clone, Debug, PartialEq)]
pub struct GradCamOptions {
    /// Name of the stage whose map is weighed; `None` = the plugin's choice for the network.
    pub stage: Option<String>,
    /// The class; `None` = for each subtomogram the one that classification finds most probable.
    pub class_index: Option<usize>,
    /// How channels are weighed.
    pub method: cinetomo_cam_method,
    /// Whether evidence against the class is cut off at 0; `None` = as the method was published.
    pub rectify: Option<bool>,
}

impl Default for GradCamOptions {
    fn default() -> GradCamOptions {
        GradCamOptions {
            stage: None,
            class_index: None,
            method: cinetomo_cam_method::GradCam,
            rectify: None,
        }
    }
}

impl Model {
    /// Where in each box the evidence for a class lies: `[n, z, y, x]`, of the size of the volume.
    pub fn grad_cam(
        &self,
        subtomograms: &Volume<'_>,
        options: &GradCamOptions,
        hooks: Hooks<'_>,
    ) -> Result<Vec<f32>, Error> {
        let stage = options.stage.as_deref().map(|name| c_string(name, "stage")).transpose()?;
        let raw = cinetomo_grad_cam_options {
            struct_size: size_of::<cinetomo_grad_cam_options>(),
            stage: stage.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            // No model has so many classes: the plugin says so.
            class_index: options
                .class_index
                .map_or(-1, |index| i32::try_from(index).unwrap_or(i32::MAX)),
            method: options.method as i32,
            rectify: options.rectify.map_or(-1, i32::from),
            reserved: 0,
        };
        let api = self.context().plugin().api();
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffer has the stated capacity.
            fetch(api, |buffer, capacity, len, error| unsafe {
                (api.model_grad_cam)(
                    self.handle(),
                    subtomograms.raw(),
                    &raw const raw,
                    hooks,
                    buffer,
                    capacity,
                    len,
                    error,
                )
            })
        })
    }
}
