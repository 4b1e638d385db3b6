//! Work on boxes chunk by chunk, so that memory does not grow with their number.

use std::ops::Range;

use cinetomo_host::{Error, Hooks, Volume};

use crate::{boxes::Boxes, failure::Result, interrupt, session::Session};

/// Which boxes, by their indices.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All of them.
    All,
    /// These.
    These(&'a [usize]),
}

impl Which<'_> {
    fn len(self, boxes: &Boxes) -> usize {
        match self {
            Which::All => boxes.len(),
            Which::These(indices) => indices.len(),
        }
    }

    fn indices(self, chunk: Range<usize>) -> Vec<usize> {
        match self {
            Which::All => chunk.collect(),
            Which::These(indices) => indices[chunk].to_vec(),
        }
    }
}

/// Makes `call` for the voxels of each chunk and hands what it gives to `found`, with the indices of the boxes.
///
/// # Errors
/// A box cannot be read, a call fails, the run was interrupted, or `found` fails.
pub fn for_chunks<T>(
    session: &Session,
    boxes: &Boxes,
    which: Which<'_>,
    title: &str,
    mut call: impl FnMut(&Volume<'_>, Hooks<'_>) -> Result<T, Error>,
    mut found: impl FnMut(&[usize], T) -> Result<()>,
) -> Result<()> {
    let n = which.len(boxes);
    let mut bar = session.console.bar(title);
    for chunk in boxes.chunks(n) {
        bar.part(chunk.start, chunk.end, n);
        let indices = which.indices(chunk.clone());
        let voxels = boxes.read(indices.iter().copied())?;
        let volume = boxes.volume(&voxels)?;
        let result = session
            .call(&bar, |hooks| call(&volume, hooks))
            .map_err(|error| error.within(format!("boxes {} to {}", chunk.start + 1, chunk.end)))?;
        found(&indices, result)?;
    }
    interrupt::check()
}
