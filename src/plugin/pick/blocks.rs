//! How a tomogram is divided into blocks that fit into memory.

use std::ops::Range;

use super::tomogram::Region;
use crate::error::{Error, Result};

/// A part of the tomogram and what must be known around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// Where peaks are looked for, along z, y, x.
    pub(super) core: [Range<i64>; 3],
    /// Where the filtered tomogram must be known for it: a voxel more on each side, within the tomogram.
    pub(super) filtered: [Range<i64>; 3],
    /// Which voxels that takes: the reach of the filter more on each side, within the tomogram.
    pub(super) input: [Range<i64>; 3],
}

impl Block {
    fn new(core: [Range<i64>; 3], shape: [i64; 3], reach: i64) -> Block {
        let wider = |ranges: &[Range<i64>; 3], by: i64| {
            [0, 1, 2].map(|axis| {
                let range = &ranges[axis];
                (range.start - by).max(0)..(range.end + by).min(shape[axis])
            })
        };
        let filtered = wider(&core, 1);
        let input = wider(&filtered, reach);
        Block { core, filtered, input }
    }

    /// Bytes that work on it takes, with so many buffers of 32-bit numbers.
    fn bytes(&self, n_buffers: u64) -> u64 {
        4 * n_buffers
            * self.input.iter().map(|range| (range.end - range.start) as u64).product::<u64>()
    }

    /// The voxels to be read.
    pub(super) fn region(&self) -> Region {
        Region {
            start: self.input.clone().map(|range| range.start),
            extent: self.input.clone().map(|range| range.end - range.start),
        }
    }
}

/// Divides a tomogram of `shape` voxels into blocks, each of which takes at most `max_memory` bytes in `n_buffers`
/// buffers as large as itself with its surroundings; the filter reaches `reach` voxels far. Fails if even blocks of one
/// voxel take more.
pub(super) fn divide(
    shape: [i64; 3],
    reach: i64,
    max_memory: u64,
    n_buffers: u64,
) -> Result<Vec<Block>> {
    let mut parts = [1i64; 3];
    loop {
        let edges = [0, 1, 2].map(|axis| split(shape[axis], parts[axis]));
        // The largest block is one in the middle, where there are surroundings on all sides.
        let input = [0, 1, 2].map(|axis| (edges[axis] + 2 * (reach + 1)).min(shape[axis]) as u64);
        let bytes = 4 * n_buffers * input.iter().product::<u64>();
        if bytes <= max_memory {
            break;
        }
        // The longest edge is cut: cubes have the least surroundings.
        let longest = (0..3).max_by_key(|&axis| edges[axis]).unwrap_or(0);
        if edges[longest] == 1 {
            return Err(Error::invalid(format!(
                "max_memory is {max_memory} bytes; Gaussians that reach {reach} voxels far need at least {bytes}"
            )));
        }
        parts[longest] = split(shape[longest], edges[longest] - 1).max(parts[longest] + 1);
    }
    let cuts = [0, 1, 2].map(|axis| -> Vec<Range<i64>> {
        let edge = split(shape[axis], parts[axis]);
        (0..split(shape[axis], edge))
            .map(|part| part * edge..((part + 1) * edge).min(shape[axis]))
            .collect()
    });
    let mut blocks = Vec::new();
    for z in &cuts[0] {
        for y in &cuts[1] {
            for x in &cuts[2] {
                blocks.push(Block::new([z.clone(), y.clone(), x.clone()], shape, reach));
            }
        }
    }
    debug_assert!(blocks.iter().all(|block| block.bytes(n_buffers) <= max_memory));
    Ok(blocks)
}

/// A length divided into parts, rounded up.
fn split(extent: i64, parts: i64) -> i64 {
    (extent + parts - 1) / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_voxel_once_and_fit() {
        for (shape, reach, max_memory) in [
            ([30, 100, 90], 12, 1 << 20),
            ([1, 1, 5000], 3, 20_000),
            ([64, 64, 64], 40, 16 * 64 * 64 * 64),
            ([17, 23, 29], 5, 16 * 20 * 20 * 20),
        ] {
            let blocks = divide(shape, reach, max_memory, 4).unwrap();
            let mut seen = vec![0u8; shape.iter().product::<i64>() as usize];
            for block in &blocks {
                assert!(block.bytes(4) <= max_memory, "{block:?}");
                for z in block.core[0].clone() {
                    for y in block.core[1].clone() {
                        for x in block.core[2].clone() {
                            seen[((z * shape[1] + y) * shape[2] + x) as usize] += 1;
                        }
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 1), "{shape:?}");
        }
        assert_eq!(divide([50, 50, 50], 9, 1 << 30, 4).unwrap().len(), 1);
    }

    #[test]
    fn surroundings_end_where_the_tomogram_does() {
        let block = Block::new([10..20, 0..5, 40..50], [30, 60, 50], 4);
        assert_eq!(block.filtered, [9..21, 0..6, 39..50]);
        assert_eq!(block.input, [5..25, 0..10, 35..50]);
        assert_eq!(block.region(), Region { start: [5, 0, 35], extent: [20, 10, 15] });
    }

    #[test]
    fn too_little_memory_is_an_error_with_the_need() {
        let error = divide([500, 500, 500], 30, 1 << 20, 4).unwrap_err().to_string();
        assert!(error.contains("need at least 4000752"), "{error}");
    }
}
