//! The bytes of a pickle, in order, a block at a time: a pickle may be the small beginning of a large file.

use super::Run;
use crate::{
    error::{Error, Result},
    source::Source,
};

/// Bytes read at a time. A pickle of a video network's names has some 50 KB.
const BLOCK: u64 = 1 << 16;

/// Longest text or bytes that are kept in memory; longer ones are the values of arrays, which stay where they are.
const NEAR: u64 = 1 << 10;

/// Where the machine stands in its source.
pub(super) struct Input<'a> {
    source: &'a dyn Source,
    position: u64,
    end: u64,
    block: Vec<u8>,
    block_start: u64,
}

impl<'a> Input<'a> {
    /// The bytes from `start` to `end`, which must lie within the source.
    pub fn new(source: &'a dyn Source, start: u64, end: u64) -> Input<'a> {
        Input { source, position: start, end, block: Vec::new(), block_start: start }
    }

    /// The byte that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Number of bytes left.
    pub fn left(&self) -> u64 {
        self.end - self.position
    }

    /// The next `n` bytes, of which there must be as many and no more than a block.
    pub fn take(&mut self, n: u64) -> Result<&[u8]> {
        let block_end = self.block_start + self.block.len() as u64;
        if self.position < self.block_start || self.position + n > block_end {
            let n_block = BLOCK.min(self.left());
            self.block.resize(n_block as usize, 0);
            self.block_start = self.position;
            self.source
                .read_exact_at(&mut self.block, self.position)
                .map_err(|error| Error::io(&error))?;
        }
        let start = (self.position - self.block_start) as usize;
        self.position += n;
        Ok(&self.block[start..start + n as usize])
    }

    /// The next `n` bytes, of which there must be as many.
    pub fn run(&mut self, n: u64) -> Result<Run> {
        let offset = self.position;
        let near = if n <= NEAR {
            Some(self.take(n)?.into())
        } else {
            self.position += n;
            None
        };
        Ok(Run { offset, n_bytes: n, near })
    }

    /// The bytes up to the next line feed, which is passed; `None` if none comes within the length of a name.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while self.left() > 0 && (line.len() as u64) < NEAR {
            match self.take(1)? {
                b"\n" => return Ok(Some(line)),
                byte => line.extend_from_slice(byte),
            }
        }
        Ok(None)
    }
}
