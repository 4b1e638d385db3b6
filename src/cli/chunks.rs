//! Work on boxes chunk by chunk, so that memory does not grow with their number.

use std::ops::Range;

use cinetomo_host::{Error, Hooks, Volume};

use crate::{boxes::Boxes, failure::Result, interrupt, session::Session};

/// Which boxes, by their indices.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those from the first of these indices up to, but not including, the second.
    Between([usize; 2]),
    /// These.
    These(&'a [usize]),
}

impl Which<'_> {
    fn len(self) -> usize {
        match self {
            Which::Between([start, end]) => end - start,
            Which::These(indices) => indices.len(),
        }
    }

    fn indices(self, chunk: Range<usize>) -> Vec<usize> {
        match self {
            Which::Between([start, _]) => (start + chunk.start..start + chunk.end).collect(),
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
    let n = which.len();
    let first = if let Which::Between([start, _]) = which { start } else { 0 };
    let mut bar = session.console.bar(title);
    for chunk in boxes.chunks(n) {
        bar.part(chunk.start, chunk.end, n);
        let indices = which.indices(chunk.clone());
        let voxels = boxes.read(indices.iter().copied())?;
        let volume = boxes.volume(&voxels)?;
        let result = session.call(&bar, |hooks| call(&volume, hooks)).map_err(|error| {
            let (start, end) = (first + chunk.start + 1, first + chunk.end);
            error.within(format!("boxes {start} to {end}"))
        })?;
        found(&indices, result)?;
    }
    interrupt::check()
}
