//! The directory of a zip archive, read more strictly than archivers do: two readers must not see two archives in it.

use std::{collections::HashMap, io};

use rawzip::{CompressionMethod, ReaderAt, ZipLocator};

use crate::{
    error::{Error, Result},
    read,
    source::{Source, Stretch},
    tensor::{Encoding, MAX_TENSORS, Storage},
};

/// Largest ratio of the members to the archive. Trained weights compress by some percent; what shrinks a hundred times is
/// made to fill memories.
const MAX_EXPANSION: u64 = 100;

/// Archives may expand to this many bytes in any case: a small file of zeros is harmless.
const ALWAYS_ALLOWED: u64 = 16 << 20;

/// The members of an archive.
pub(crate) struct Archive {
    /// In the order of the directory: name, and where the bytes are.
    pub members: Vec<(String, Storage)>,
    index: HashMap<String, usize>,
}

impl Archive {
    /// Reads the directory of a zip archive. Refuses what is encrypted, compressed by other means than deflate, named
    /// twice, overlapping, or of members that exceed any honest compression.
    pub fn read(source: &dyn Source) -> Result<Archive> {
        let damaged = |error: rawzip::Error| match error.into_kind() {
            rawzip::ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Error::io(&error)
            }
            kind => Error::format(format!(
                "damaged zip archive, cut short or not wholly downloaded: {kind}"
            )),
        };
        let n_bytes = source.n_bytes();
        let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let locator = ZipLocator::new();
        let archive = locator
            .locate_in_reader(At(source), &mut buffer, n_bytes)
            .map_err(|(_, error)| damaged(error))?;
        if archive.end_offset() != n_bytes {
            let n = n_bytes - archive.end_offset();
            return Err(Error::format(format!("{n} bytes follow the end of the zip archive")));
        }
        let mut found = Archive { members: Vec::new(), index: HashMap::new() };
        let mut spans = Vec::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(damaged)? {
            if found.members.len() == MAX_TENSORS {
                let message = format!("the zip archive has more than {MAX_TENSORS} members");
                return Err(Error::format(message));
            }
            let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
            // A name from the file: it may be of any length.
            let short: String = name.chars().take(200).collect();
            let wrong = |message: &str| Error::format(format!("member {short:?} {message}"));
            if entry.flags().is_encrypted() {
                return Err(wrong("is encrypted: unpack it with its password first"));
            }
            let encoding = match entry.compression_method() {
                CompressionMethod::STORE => Encoding::Plain,
                CompressionMethod::DEFLATE => Encoding::Deflate,
                other => {
                    return Err(wrong(&format!(
                        "is compressed by method {}; stored and deflated members are read",
                        other
                    )));
                }
            };
            let (crc, header) = (entry.crc32(), entry.local_header_offset());
            let wayfinder = entry.wayfinder();
            let data = archive.get_entry(wayfinder).map_err(damaged)?;
            let (start, end) = data.compressed_data_range();
            let n_decoded = wayfinder.uncompressed_size_hint();
            if end > archive.directory_offset() || start > end || header > start {
                return Err(wrong("reaches beyond the members of the archive"));
            }
            if encoding == Encoding::Plain && end - start != n_decoded {
                let message = format!("is stored in {} bytes but has {n_decoded}", end - start);
                return Err(wrong(&message));
            }
            spans.push((header, end, found.members.len()));
            if found.index.insert(name.clone(), found.members.len()).is_some() {
                return Err(wrong("is there twice"));
            }
            let storage = Storage {
                part: 0,
                start,
                n_stored: end - start,
                n_bytes: n_decoded,
                encoding,
                checksum: Some(crc),
            };
            found.members.push((name, storage));
        }
        if found.members.len() as u64 != archive.entries_hint() {
            let (n, said) = (found.members.len(), archive.entries_hint());
            let message = format!("the zip archive has {n} members and says {said}");
            return Err(Error::format(message));
        }
        found.check_spans(spans)?;
        found.check_expansion(n_bytes)?;
        Ok(found)
    }

    fn check_spans(&self, mut spans: Vec<(u64, u64, usize)>) -> Result<()> {
        spans.sort_unstable();
        for pair in spans.windows(2) {
            let ((_, end, first), (start, _, second)) = (pair[0], pair[1]);
            if start < end {
                let name =
                    |member: usize| self.members[member].0.chars().take(200).collect::<String>();
                return Err(Error::format(format!(
                    "members {:?} and {:?} of the zip archive overlap",
                    name(first),
                    name(second)
                )));
            }
        }
        Ok(())
    }

    fn check_expansion(&self, n_bytes: u64) -> Result<()> {
        let total = self.members.iter().map(|(_, storage)| storage.n_bytes);
        let total = total.fold(0, u64::saturating_add);
        if total > ALWAYS_ALLOWED.max(n_bytes.saturating_mul(MAX_EXPANSION)) {
            return Err(Error::format(format!(
                "{n_bytes} bytes of zip archive expand to {total}: no weights compress like this"
            )));
        }
        Ok(())
    }

    /// Where the bytes of the member of that name are.
    pub fn get(&self, name: &str) -> Option<&Storage> {
        self.index.get(name).map(|member| &self.members[*member].1)
    }
}

/// What an archive is that holds no checkpoint, in words.
pub(crate) fn other(archive: &Archive) -> String {
    let has = |name: &str| archive.get(name).is_some();
    if has("model.weights.h5") {
        return "is a Keras network (zip)".to_owned();
    }
    let names = archive.members.iter().take(3).map(|(name, _)| format!("{name:.60?}"));
    let names = names.collect::<Vec<_>>().join(", ");
    format!(
        "is a zip archive of {} members ({names}), none of them data.pkl",
        archive.members.len()
    )
}

/// The first bytes of a member, decoded, at most `limit` of them.
pub(crate) fn beginning(source: &dyn Source, member: &Storage, limit: u64) -> Result<Vec<u8>> {
    read::beginning(Stretch::new(source, member.start, member.n_stored), member, limit)
}

/// A source as rawzip wants it.
struct At<'a>(&'a dyn Source);

impl ReaderAt for At<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.0.n_bytes().saturating_sub(offset).min(buffer.len() as u64) as usize;
        self.0.read_exact_at(&mut buffer[..n], offset)?;
        Ok(n)
    }
}
