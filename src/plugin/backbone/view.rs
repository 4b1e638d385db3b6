//! The output of a stage, whatever its layout, as a map over the box.

use tch::{Kind, Tensor};

use super::{BatchNormMode, Network, Pass, Stage};
use crate::error::{Error, Result};

/// How the output of a stage lies over the box.
#[derive(Clone, Copy)]
pub enum View {
    /// A map `[n, c, z, y, x]`.
    Map,
    /// Tokens `[n, 1 + z * y * x, c]`, the class token first; the function gives z, y, x for the size of the network's input.
    Tokens(fn([i64; 3]) -> [i64; 3]),
    /// Tokens of each position along z for itself, `[n * z, 1 + y * x, c]`, a class token first in each row.
    Sections(fn([i64; 3]) -> [i64; 3]),
    /// Features `[n, c]`: nothing is left of the positions.
    Pooled,
}

impl View {
    /// From the output of a stage to a map `[n, c, z, y, x]` that shares its values. z, y, x are the axes of the box, in
    /// that order and direction. Class tokens have no position and are left out; pooled features become a map of one
    /// position. Gradients flow. Fails with `InvalidArgument` if the output is not of a pass of that input.
    pub fn map(self, output: &Tensor, pass: Pass) -> Result<Tensor> {
        let size = output.size();
        match (self, &size[..]) {
            (View::Map, [_, _, _, _, _]) => Ok(output.shallow_clone()),
            (View::Pooled, &[n, c]) => Ok(output.f_reshape([n, c, 1, 1, 1])?),
            (View::Tokens(grid), &[n, n_tokens, c]) => {
                let [z, y, x] = grid(pass.input_size);
                if n_tokens != 1 + z * y * x {
                    return Err(misfit(&size, [z, y, x]));
                }
                let map = output.f_narrow(1, 1, z * y * x)?.f_transpose(1, 2)?;
                Ok(map.f_reshape([n, c, z, y, x])?)
            }
            (View::Sections(grid), &[n_sections, n_tokens, c]) => {
                let [z, y, x] = grid(pass.input_size);
                if n_tokens != 1 + y * x || n_sections % z != 0 {
                    return Err(misfit(&size, [z, y, x]));
                }
                let sections = output.f_narrow(1, 1, y * x)?;
                let map = sections.f_reshape([n_sections / z, z, y, x, c])?;
                Ok(map.f_permute([0, 4, 1, 2, 3])?)
            }
            _ => Err(Error::invalid(format!("{size:?} is not what the stage gives"))),
        }
    }
}

fn misfit(size: &[i64], grid: [i64; 3]) -> Error {
    Error::invalid(format!("tokens {size:?} are not those of {grid:?} positions"))
}

impl Stage {
    /// The stage's output in that pass as a map; see `View::map`.
    pub fn map(&self, output: &Tensor, pass: Pass) -> Result<Tensor> {
        self.view.map(output, pass)
    }

    /// Whether its output has positions.
    pub fn has_positions(&self) -> bool {
        !matches!(self.view, View::Pooled)
    }
}

impl Network {
    /// Sizes `[c, z, y, x]` of the stages' outputs as maps, for an input of that size (z, y, x): an empty batch walks through.
    pub fn map_sizes(&self, input_size: [i64; 3]) -> Result<Vec<[i64; 4]>> {
        let _guard = tch::no_grad_guard();
        let [z, y, x] = input_size;
        let nothing = Tensor::f_zeros([0, 1, z, y, x], (Kind::Float, self.parameters.device()))?;
        let pass = Pass::of(&nothing, BatchNormMode::Running)?;
        let mut x = nothing;
        let size = |stage: &Stage| {
            x = (stage.forward)(&x, pass)?;
            let size = stage.map(&x, pass)?.size();
            Ok([size[1], size[2], size[3], size[4]])
        };
        self.stages.iter().map(size).collect()
    }

    /// The stage of that name and its index. Fails with `InvalidArgument`, naming those that there are.
    pub fn stage(&self, name: &str) -> Result<(usize, &Stage)> {
        let found = self.stages.iter().enumerate().find(|(_, stage)| stage.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.stages.iter().map(|stage| stage.name).collect();
            let spec = self.spec().name;
            Error::invalid(format!("stage {name:?}: {spec} has {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
#[path = "view_test.rs"]
pub mod view_test;
