//! Files packed with gzip or bzip2.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use super::{Bytes, Source, SourceReader};
use crate::error::{Error, ErrorKind, Result};

/// Unpacked files up to this many bytes stay in memory (a subtomogram of 256^3 in f32); larger ones go to an unnamed
/// temporary file.
const IN_MEMORY: u64 = 64 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952; several members after another are one file.
    Gzip,
    /// bzip2, block size 1 to 9; several streams after another are one file.
    Bzip2,
}

impl Packing {
    /// Told by the first bytes: RFC 1952 section 2.3.1; `BZh`, the block size and the first block's magic number.
    pub fn of(head: &[u8]) -> Option<Packing> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Packing::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => {
                Some(Packing::Bzip2)
            }
            _ => None,
        }
    }

    /// The packing's name.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Bzip2 => "bzip2",
        }
    }

    fn decoder(self, source: &Arc<Source>) -> Box<dyn Read> {
        let reader: SourceReader = source.reader();
        match self {
            Packing::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Packing::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
        }
    }
}

impl Source {
    /// How the file is packed, if it is.
    pub fn packing(&self) -> Result<Option<Packing>> {
        Ok(Packing::of(&self.head(10)?))
    }

    /// The first `n` bytes of the file once it is unpacked, or all if there are fewer.
    pub fn unpacked_head(
        self: &Arc<Source>,
        packing: Option<Packing>,
        n: usize,
    ) -> Result<Vec<u8>> {
        let Some(packing) = packing else {
            return self.head(n);
        };
        let mut head = Vec::new();
        packing
            .decoder(self)
            .take(n as u64)
            .read_to_end(&mut head)
            .map_err(|error| unpacking(self, packing.name(), error))?;
        Ok(head)
    }

    /// Unpacks the whole file, which must hold exactly `expected` bytes; no more than that and one is ever unpacked.
    pub fn unpack(self: &Arc<Source>, packing: Packing, expected: u64) -> Result<Source> {
        unpack(self, packing.name(), packing.decoder(self), expected)
    }
}

/// Reads `expected` bytes and the end from a decoder over `source`.
pub(crate) fn unpack(
    source: &Source,
    name: &str,
    mut decoder: impl Read,
    expected: u64,
) -> Result<Source> {
    let failed = |error: io::Error| unpacking(source, name, error);
    let write_failed = |error: io::Error| {
        let message = format!("writing the unpacked file to a temporary one: {error}");
        Error::new(ErrorKind::Io, source.path(), message)
    };
    let mut memory = Vec::new();
    decoder.by_ref().take(expected.min(IN_MEMORY)).read_to_end(&mut memory).map_err(failed)?;
    let mut n = memory.len() as u64;
    let bytes = if n == IN_MEMORY && expected > IN_MEMORY {
        let mut file = tempfile::tempfile().map_err(write_failed)?;
        file.write_all(&memory).map_err(write_failed)?;
        memory.clear();
        memory.resize(1 << 20, 0);
        while n < expected {
            let room = (expected - n).min(memory.len() as u64) as usize;
            match decoder.read(&mut memory[..room]) {
                Ok(0) => break,
                Ok(more) => {
                    file.write_all(&memory[..more]).map_err(write_failed)?;
                    n += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Bytes::File(file)
    } else {
        Bytes::Memory(memory)
    };
    // Reading on to the end makes the decoder compare its checksum.
    let more = decoder.take(1).read_to_end(&mut Vec::new()).map_err(failed)?;
    if n != expected || more > 0 {
        let found = if more > 0 { "more".to_owned() } else { n.to_string() };
        let message =
            format!("{name}: the header asks for {expected} unpacked bytes, found {found}");
        return Err(Error::format(source.path(), message));
    }
    Ok(Source { path: source.path.clone(), bytes, len: n })
}

/// What a decoder says: that the stream is damaged, or that the file could not be read.
fn unpacking(source: &Source, name: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Error::format(source.path(), format!("{name}: the packed data is cut short"));
    }
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::format(source.path(), format!("{name}: {error}")),
    }
}
