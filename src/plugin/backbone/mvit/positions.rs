//! Where the tokens of an MViT are: embeddings of places (version 1) and of distances (version 2).
//!
//! Both were learned for one map and are resampled for others, linearly along each axis.

use tch::Tensor;

use super::{BlockConfig, Grid, HEAD, NATIVE_GRID, strided};
use crate::{
    backbone::{
        attention::WEIGHT_DEVIATION,
        ledger::{self, F32},
        precision::rounded,
    },
    error::Result,
    parameters::Parameters,
};

/// Learned position embeddings, those along z separate from those along y and x.
pub struct Positions {
    spatial: Tensor,
    temporal: Tensor,
    /// Added to the class token.
    pub class: Tensor,
}

impl Positions {
    pub fn new(parameters: &mut Parameters, n: i64) -> Result<Positions> {
        let [z, y, x] = NATIVE_GRID;
        let mut normal = |leaf: &str, shape: &[i64]| {
            parameters.normal(&format!("pos_encoding.{leaf}"), shape, WEIGHT_DEVIATION)
        };
        Ok(Positions {
            spatial: normal("spatial_pos", &[y * x, n])?,
            temporal: normal("temporal_pos", &[z, n])?,
            class: normal("class_pos", &[n])?,
        })
    }

    /// The sum of both for a map of that size: `[z * y * x, c]`.
    pub fn of_map(&self, [z, y, x]: Grid) -> Result<Tensor> {
        let [_, native_y, native_x] = NATIVE_GRID;
        let mut spatial = self.spatial.shallow_clone();
        if [y, x] != [native_y, native_x] {
            spatial = spatial
                .f_transpose(0, 1)?
                .f_reshape([1, -1, native_y, native_x])?
                .f_upsample_bilinear2d([y, x], false, None, None)?
                .f_reshape([-1, y * x])?
                .f_transpose(0, 1)?;
        }
        let temporal = resampled(&self.temporal, z)?.f_unsqueeze(1)?;
        let sum = temporal.f_add(&spatial.f_unsqueeze(0)?)?.f_flatten(0, 1)?;
        ledger::enter_fixed(&sum);
        Ok(sum)
    }
}

/// `n` rows of a table `[rows, c]`, linearly between its own.
fn resampled(table: &Tensor, n: i64) -> Result<Tensor> {
    if table.size()[0] == n {
        return Ok(table.shallow_clone());
    }
    let columns = table.f_transpose(0, 1)?.f_unsqueeze(0)?;
    Ok(columns.f_upsample_linear1d([n], false, None)?.f_squeeze_dim(0)?.f_transpose(0, 1)?)
}

/// Decomposed relative positions (version 2, section 4.1): what a query adds to its attention to a key by how far they
/// are apart along z, along y and along x.
pub struct Distances {
    /// Along z, y, x: a row of 96 channels for each distance.
    tables: [Tensor; 3],
}

impl Distances {
    pub fn new(
        parameters: &mut Parameters,
        prefix: &str,
        config: BlockConfig,
    ) -> Result<Distances> {
        let BlockConfig { q_stride, kv_stride, native, .. } = config;
        let [n_z, n_y, n_x] = std::array::from_fn(|axis| {
            strided(native, q_stride)[axis].max(strided(native, kv_stride)[axis])
        });
        let mut table = |leaf: &str, n: i64| {
            let shape = [2 * n - 1, HEAD];
            parameters.normal(&format!("{prefix}rel_pos_{leaf}"), &shape, WEIGHT_DEVIATION)
        };
        let (y, x, z) = (table("h", n_y)?, table("w", n_x)?, table("t", n_z)?);
        Ok(Distances { tables: [z, y, x] })
    }

    /// `[n, heads, queries, keys]` for queries `[n, heads, tokens, c]` of the map `queries` and keys of the map `keys`.
    pub fn bias(&self, query: &Tensor, queries: Grid, keys: Grid) -> Result<Tensor> {
        let (n, n_heads, _, c) = query.size4()?;
        let [z, y, x] = queries;
        let query = query.f_reshape([n, n_heads, z, y, x, c])?;
        let along = |axis: usize, equation: &str, shape: [i64; 3]| -> Result<Tensor> {
            let rows = rows(&self.tables[axis], queries[axis], keys[axis])?;
            let factors = [rounded(&query)?, rounded(&rows)?];
            let products = Tensor::f_einsum(equation, &factors, None::<i64>)?;
            ledger::enter(&products, F32, c);
            let [key_z, key_y, key_x] = shape;
            Ok(products.f_reshape([n, n_heads, z, y, x, key_z, key_y, key_x])?)
        };
        let along_z = along(0, "bnzyxc,zkc->bnzyxk", [keys[0], 1, 1])?;
        let along_y = along(1, "bnzyxc,ykc->bnzyxk", [1, keys[1], 1])?;
        let along_x = along(2, "bnzyxc,xkc->bnzyxk", [1, 1, keys[2]])?;
        let bias = along_z.f_add(&along_y)?.f_add(&along_x)?;
        ledger::enter(&bias, F32, 0);
        Ok(bias.f_reshape([n, n_heads, z * y * x, keys.iter().product()])?)
    }
}

/// The rows of a table of distances for each pair of a query and a key along an axis: `[queries, keys, c]`. Distances
/// are those of the finer of the two, rounded down.
fn rows(table: &Tensor, n_queries: i64, n_keys: i64) -> Result<Tensor> {
    let table = resampled(table, 2 * n_queries.max(n_keys) - 1)?;
    // In single precision, as torchvision computes them: rounding decides which row is taken.
    let (queries, keys) = (n_queries as f32, n_keys as f32);
    let (of_query, of_key) = ((keys / queries).max(1.0), (queries / keys).max(1.0));
    let distances: Vec<i64> = (0..n_queries)
        .flat_map(|query| (0..n_keys).map(move |key| (query as f32, key as f32)))
        .map(|(query, key)| (query * of_query - (key + (1.0 - keys)) * of_key) as i64)
        .collect();
    let distances = Tensor::f_from_slice(&distances)?
        .f_reshape([n_queries, n_keys])?
        .f_to_device(table.device())?;
    Ok(Tensor::f_embedding(&table, &distances, -1, false, false)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::parameters::Start;

    fn positions() -> Positions {
        Positions::new(&mut Parameters::new(Device::Cpu, Start::random(3)), 5).unwrap()
    }

    /// The place of a map in raster order.
    fn at(map: &Tensor, [_, n_y, n_x]: Grid, [z, y, x]: Grid) -> Tensor {
        map.get((z * n_y + y) * n_x + x)
    }

    #[test]
    fn positions_are_exact_at_the_native_size() {
        let positions = positions();
        let map = positions.of_map(NATIVE_GRID).unwrap();
        for place in [[0, 0, 0], [3, 17, 41], [7, 55, 55]] {
            let [z, y, x] = place;
            let own = positions.temporal.get(z) + positions.spatial.get(y * 56 + x);
            assert_eq!(at(&map, NATIVE_GRID, place), own);
        }
    }

    /// At half the size the samples lie halfway between two of the table.
    #[test]
    fn positions_of_half_the_size_are_means() {
        let positions = positions();
        let half = NATIVE_GRID.map(|n| n / 2);
        let map = positions.of_map(half).unwrap();
        for [z, y, x] in [[0, 0, 0], [2, 17, 4], [3, 27, 27]] {
            let temporal = positions.temporal.narrow(0, 2 * z, 2).mean_dim(0, false, Kind::Float);
            let spatial = positions.spatial.view([56, 56, 5]);
            let corner = spatial.narrow(0, 2 * y, 2).narrow(1, 2 * x, 2);
            let mean = temporal + corner.mean_dim([0i64, 1].as_slice(), false, Kind::Float);
            let difference = (at(&map, half, [z, y, x]) - mean).abs().max().double_value(&[]);
            assert!(difference < 1e-7, "{difference}");
        }
    }

    #[test]
    fn distances_are_those_of_the_finer_of_queries_and_keys() {
        let table = Tensor::arange(7, (Kind::Float, Device::Cpu)).unsqueeze(1);
        let expected = [[2.0, 0.0], [3.0, 1.0], [4.0, 2.0], [5.0, 3.0]];
        let found = rows(&table, 4, 2).unwrap();
        assert_eq!(found.squeeze_dim(2), Tensor::from_slice2(&expected).to_kind(Kind::Float));
        // A query of the coarser side is as far from keys 0 and 1 as from 3 and 2.
        let expected = [[3.0, 2.0, 1.0, 0.0], [5.0, 4.0, 3.0, 2.0]];
        let found = rows(&table, 2, 4).unwrap();
        assert_eq!(found.squeeze_dim(2), Tensor::from_slice2(&expected).to_kind(Kind::Float));
    }
}
