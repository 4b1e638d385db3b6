//! Values: from the file straight to f32, a block at a time.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::{
    checkpoint::Checkpoint,
    dtype::to_f32,
    error::{Error, ErrorKind, Result},
    source::Stretch,
    tensor::{Encoding, Storage, TensorInfo},
};

/// Values that are handed over at a time: their bytes and their f32 stay in a core's cache.
const BLOCK: usize = 1 << 16;

impl Checkpoint {
    /// Reads a tensor of this checkpoint: hands its values to `visit` in their order, the last axis fastest, a block at a
    /// time.
    ///
    /// Takes no memory but a block, unless the values lie in another order in the file; then those of this tensor. Fails
    /// with `Io`; with `Format` if the type is not read or the compressed values are damaged; with `NonFinite`, after the
    /// last block, if a value is NaN or infinite as f32; with `OutOfMemory`; with what `visit` fails with.
    pub fn read<E: From<Error>>(
        &self,
        tensor: &TensorInfo,
        visit: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let in_file = |error: Error| E::from(error.within(&tensor.name).in_file(self.path()));
        if !tensor.dtype.is_readable() {
            let message = format!("values of type {} are not read", tensor.dtype.name());
            return Err(in_file(Error::format(message)));
        }
        let mut finite = Finite { visit, n_wrong: 0 };
        let outcome = if tensor.is_contiguous() {
            self.stream(tensor, |values| finite.visit(values))
        } else {
            self.gather(tensor, |values| finite.visit(values))
        };
        outcome.map_err(|failure| match failure {
            Failure::File(error) => in_file(error),
            Failure::Visitor(error) => error,
        })?;
        if finite.n_wrong > 0 {
            let (n_wrong, n) = (finite.n_wrong, tensor.n_values());
            let message = format!("{n_wrong} of {n} weights are NaN or infinite");
            return Err(in_file(Error::new(ErrorKind::NonFinite, message)));
        }
        Ok(())
    }

    /// Values that lie in their order.
    fn stream<E>(
        &self,
        tensor: &TensorInfo,
        mut visit: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), Failure<E>> {
        let mut bytes = self.bytes_of(tensor.storage, tensor.offset)?;
        let size = tensor.dtype.n_bytes();
        let (mut block, mut values) = (Vec::new(), Vec::new());
        let mut left = tensor.n_values();
        while left > 0 {
            let n = left.min(BLOCK as u64);
            block.resize((n * size) as usize, 0);
            bytes.read_exact(&mut block).map_err(broken)?;
            to_f32(tensor.dtype, tensor.big_endian, &mut block, &mut values);
            visit(&values).map_err(Failure::Visitor)?;
            left -= n;
        }
        bytes.finish()?;
        Ok(())
    }

    /// Values that lie in any other order.
    fn gather<E>(
        &self,
        tensor: &TensorInfo,
        mut visit: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), Failure<E>> {
        let size = tensor.dtype.n_bytes();
        let axes = || std::iter::zip(&tensor.shape, &tensor.strides);
        // Both were checked against the storage when the tensor was described.
        let n_spanned = axes().map(|(extent, stride)| (extent - 1) * stride).sum::<u64>() + 1;
        let mut bytes = self.bytes_of(tensor.storage, tensor.offset)?;
        let span = bytes.read_all(n_spanned * size)?;
        bytes.finish()?;

        let size = size as usize;
        let (mut block, mut values) = (Vec::with_capacity(BLOCK * size), Vec::new());
        let Some((&last_extent, &last_stride)) = axes().next_back() else { return Ok(()) };
        let n_outer = tensor.shape.len() - 1;
        let mut index = vec![0u64; n_outer];
        let mut start = 0;
        for _ in 0..tensor.n_values() / last_extent {
            for step in 0..last_extent {
                let at = (start + step * last_stride) as usize * size;
                block.extend_from_slice(&span[at..at + size]);
                if block.len() == BLOCK * size {
                    to_f32(tensor.dtype, tensor.big_endian, &mut block, &mut values);
                    visit(&values).map_err(Failure::Visitor)?;
                    block.clear();
                }
            }
            // The next row: like counting, the last digit first.
            for axis in (0..n_outer).rev() {
                index[axis] += 1;
                start += tensor.strides[axis];
                if index[axis] < tensor.shape[axis] {
                    break;
                }
                start -= index[axis] * tensor.strides[axis];
                index[axis] = 0;
            }
        }
        to_f32(tensor.dtype, tensor.big_endian, &mut block, &mut values);
        visit(&values).map_err(Failure::Visitor)
    }

    /// The decoded bytes of a storage from `offset` on.
    fn bytes_of(&self, storage: usize, offset: u64) -> Result<Bytes<'_>> {
        let storage = &self.storages()[storage];
        // A sum over the whole needs the whole.
        let skipped = if storage.encoding == Encoding::Plain && storage.checksum.is_none() {
            offset
        } else {
            0
        };
        let source = self.source(storage.part);
        let stretch = Stretch::new(source, storage.start + skipped, storage.n_stored - skipped);
        let mut bytes = Bytes::new(stretch, storage);
        io::copy(&mut (&mut bytes).take(offset - skipped), &mut io::sink()).map_err(broken)?;
        Ok(bytes)
    }
}

/// The first bytes of a storage once decoded, at most `limit` of them.
pub(crate) fn beginning(stretch: Stretch<'_>, storage: &Storage, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Bytes::new(stretch, storage);
    bytes.read_all(storage.n_bytes.min(limit))
}

/// What stopped a reading.
enum Failure<E> {
    File(Error),
    Visitor(E),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Failure<E> {
        Failure::File(error)
    }
}

/// Counts what is not finite on the way.
struct Finite<V> {
    visit: V,
    n_wrong: u64,
}

impl<E, V: FnMut(&[f32]) -> Result<(), E>> Finite<V> {
    fn visit(&mut self, values: &[f32]) -> Result<(), E> {
        self.n_wrong += values.iter().filter(|value| !value.is_finite()).count() as u64;
        (self.visit)(values)
    }
}

/// The bytes of a storage, decoded and summed on the way.
struct Bytes<'a> {
    decoder: Box<dyn Read + 'a>,
    sum: Option<(crc32fast::Hasher, u32)>,
    /// Number of bytes that are in the file as they are.
    n_there: u64,
}

impl<'a> Bytes<'a> {
    fn new(stretch: Stretch<'a>, storage: &Storage) -> Bytes<'a> {
        let decoder: Box<dyn Read + 'a> = match storage.encoding {
            Encoding::Plain => Box::new(stretch),
            Encoding::Deflate => Box::new(DeflateDecoder::new(stretch).take(storage.n_bytes)),
            Encoding::Latin1 => Box::new(Latin1 { text: io::BufReader::new(stretch) }),
        };
        let sum = storage.checksum.map(|expected| (crc32fast::Hasher::new(), expected));
        let is_plain = storage.encoding == Encoding::Plain;
        Bytes { decoder, sum, n_there: if is_plain { storage.n_stored } else { 0 } }
    }

    /// The next `n` bytes. Memory grows with what is really there.
    fn read_all(&mut self, n: u64) -> Result<Vec<u8>> {
        const STEP: u64 = 1 << 20;
        let mut all = Vec::new();
        while (all.len() as u64) < n {
            let start = all.len();
            let step = (n - start as u64).min(STEP.max(start as u64).max(self.n_there));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            all.try_reserve_exact(step)
                .map_err(|_| Error::io(&io::ErrorKind::OutOfMemory.into()))?;
            all.resize(start + step, 0);
            self.read_exact(&mut all[start..]).map_err(broken)?;
        }
        Ok(all)
    }

    /// Reads to the end if there is a sum, and compares it.
    fn finish(mut self) -> Result<()> {
        if self.sum.is_some() {
            io::copy(&mut self, &mut io::sink()).map_err(broken)?;
        }
        match self.sum {
            Some((sum, expected)) if sum.clone().finalize() != expected => {
                Err(Error::format("damaged: the checksum (CRC-32) of the values is another"))
            }
            _ => Ok(()),
        }
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buffer)?;
        if let Some((sum, _)) = &mut self.sum {
            sum.update(&buffer[..n]);
        }
        Ok(n)
    }
}

/// What a decoder's error means: the file's lengths were checked, so it is the compressed data.
fn broken(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::format("damaged: the values end before the last one")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Error::format(format!("damaged: {error}"))
        }
        _ => Error::io(&error),
    }
}

/// Bytes written as text.
struct Latin1<R> {
    text: R,
}

impl<R: Read> Read for Latin1<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        for slot in buffer {
            let mut byte = [0; 2];
            if self.text.read(&mut byte[..1])? == 0 {
                break;
            }
            *slot = match byte[0] {
                ascii @ 0..=0x7f => ascii,
                // U+0080 to U+00FF take two bytes of UTF-8, the first of which has the upper two bits of the number.
                first @ (0xc2 | 0xc3) => {
                    self.text.read_exact(&mut byte[1..])?;
                    match byte[1] {
                        second @ 0x80..=0xbf => (first << 6) | (second & 0x3f),
                        _ => return Err(not_latin1()),
                    }
                }
                _ => return Err(not_latin1()),
            };
            n += 1;
        }
        Ok(n)
    }
}

fn not_latin1() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a character that stands for no byte")
}
