//! What is added to the attention of a token to another, by how far they are apart along z, y, x and by head: of a table `[15 * 13 * 13, heads]`, for
//! each pair of the first tokens of a full window, in raster order.
//!
//! A window that a small map has made smaller takes these too, as the authors' and torchvision's code does. If it is
//! smaller along y or x, its pairs then have the distances of other pairs of a full window: each pair still has a bias
//! of its own, but not the one that it learned on video.

use tch::{Device, Kind, Tensor};

use super::WINDOW;
use crate::{
    backbone::{kernel::values, ledger},
    error::Result,
};

/// Distances between two tokens of a window: rows of the table.
pub fn n_distances() -> i64 {
    WINDOW.map(|size| 2 * size - 1).iter().product()
}

/// The bias `[1, heads, tokens, tokens]` of so many tokens, with gradients.
pub fn looked_up(table: &Tensor, n_tokens: i64) -> Result<Tensor> {
    let rows: Vec<i64> = (0..n_tokens).map(row).collect();
    let middle = n_distances() / 2;
    let distances: Vec<i64> =
        rows.iter().flat_map(|a| rows.iter().map(move |b| a - b + middle)).collect();
    let distances = Tensor::f_from_slice(&distances)?.f_to_device(table.device())?;
    let bias = Tensor::f_embedding(table, &distances, -1, false, false)?
        .f_reshape([n_tokens, n_tokens, table.size()[1]])?
        .f_permute([2, 0, 1])?
        .f_unsqueeze(0)?
        .f_contiguous()?;
    ledger::enter_fixed(&bias);
    Ok(bias)
}

/// The same on the CPU, without gradients and without libtorch's threads, which would go on waiting for work while others compute.
pub fn copied(table: &Tensor, n_tokens: i64) -> Result<Tensor> {
    let (n_rows, n_heads) = table.size2()?;
    let size = [1, n_heads, n_tokens, n_tokens];
    if ledger::is_walking() {
        let bias = Tensor::f_empty(size, (Kind::Float, Device::Cpu))?;
        ledger::enter_fixed(&bias);
        return Ok(bias);
    }
    let table = values(table)?;
    let mut backwards = vec![0.0; n_rows as usize];
    cinetomo_tensors::filled(&size, |out| {
        let of_heads = out.chunks_exact_mut((n_tokens * n_tokens) as usize);
        for (head, of_head) in of_heads.enumerate() {
            let of_distances = table.chunks_exact(n_heads as usize).rev();
            backwards.iter_mut().zip(of_distances).for_each(|(out, row)| *out = row[head]);
            for (a, of_token) in (0..).zip(of_head.chunks_exact_mut(n_tokens as usize)) {
                // Along x, tokens that follow each other lie at distances that do.
                for (line, out) in (0..).zip(of_token.chunks_mut(WINDOW[2] as usize)) {
                    let first = row(line * WINDOW[2]) - row(a) + n_rows / 2;
                    out.copy_from_slice(&backwards[first as usize..][..out.len()]);
                }
            }
        }
        Ok(())
    })
}

/// Rows of the table from the first token of a window to that of another, by its distance to this one.
fn row(token: i64) -> i64 {
    let [_, n_y, n_x] = WINDOW;
    let place = [token / (n_y * n_x), token / n_x % n_y, token % n_x];
    (0..3).fold(0, |row, axis| row * (2 * WINDOW[axis] - 1) + place[axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_the_bias_of_its_distance() {
        let table = Tensor::arange(n_distances() * 3, (Kind::Float, Device::Cpu)).reshape([-1, 3]);
        for n_tokens in [1, 20, 128, 392] {
            let (looked_up, copied) =
                (looked_up(&table, n_tokens).unwrap(), copied(&table, n_tokens).unwrap());
            assert_eq!(looked_up, copied);
            // By hand: distances along z, y, x from -7, -6, -6 on.
            let place = |token: i64| [token / 49, token / 7 % 7, token % 7];
            for [head, a, b] in [[0, 0, 0], [2, n_tokens - 1, 0], [1, n_tokens / 3, n_tokens - 1]] {
                let (from, to) = (place(a), place(b));
                let row =
                    ((from[0] - to[0] + 7) * 13 + from[1] - to[1] + 6) * 13 + from[2] - to[2] + 6;
                let found = copied.double_value(&[0, head, a, b]);
                assert_eq!(found, (row * 3 + head) as f64, "{n_tokens} {a} {b}");
            }
        }
    }
}
