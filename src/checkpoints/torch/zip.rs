//! PyTorch since 1.6: `<root>/data.pkl`, `<root>/data/<key>` for each storage, `<root>/byteorder`.

use std::collections::HashMap;

use super::{RULES, Tensors, tree};
use crate::{
    archive::{self, Archive},
    checkpoint::Contents,
    error::{Error, Result},
    pickle::Pickle,
    source::Source,
    tensor::{Encoding, Storage},
};

/// Largest pickle that is unpacked. Those of video networks have some 50 KB, and they are stored as they are unless somebody
/// packed the archive anew.
const MAX_PICKLE: u64 = 64 << 20;

/// Name of the member that says what a PyTorch archive is.
const PICKLE: &str = "data.pkl";

/// The directory in the archive that a checkpoint is in; `None` if it is no PyTorch archive.
pub(crate) fn root(archive: &Archive) -> Option<&str> {
    archive.members.iter().find_map(|(name, _)| {
        let root = name.strip_suffix(PICKLE)?;
        (root.is_empty() || (root.ends_with('/') && root.matches('/').count() == 1)).then_some(root)
    })
}

/// The tensors of the checkpoint in that directory of the archive.
pub(crate) fn read(source: &dyn Source, archive: &Archive, root: &str) -> Result<Contents> {
    if archive.get(&format!("{root}constants.pkl")).is_some() {
        let message = "a TorchScript archive, a program with its weights; save the state_dict() of the model instead";
        return Err(Error::format(message));
    }
    let big_endian = match archive.get(&format!("{root}byteorder")) {
        None => false,
        Some(member) => match archive::beginning(source, member, 16)?.as_slice() {
            b"little" => false,
            b"big" => true,
            _ => {
                return Err(Error::format(
                    "the member byteorder is neither \"little\" nor \"big\"",
                ));
            }
        },
    };
    let mut list: Vec<Storage> = Vec::new();
    let mut storages = HashMap::new();
    let prefix = format!("{root}data/");
    for (name, member) in &archive.members {
        if let Some(key) = name.strip_prefix(&prefix) {
            storages.insert(key.to_owned(), list.len());
            // PyTorch can be told not to compute the sums.
            list.push(Storage { checksum: None, ..member.clone() });
        }
    }
    let name = format!("{root}{PICKLE}");
    let member = archive
        .get(&name)
        .ok_or_else(|| Error::format(format!("the zip archive has no member {name}")))?;
    let within = |error: Error| error.within(&name);
    let pickle = match member.encoding {
        Encoding::Plain => {
            let (start, end) = (member.start, member.start + member.n_stored);
            Pickle::parse(source, start, end, &RULES)
        }
        _ if member.n_bytes > MAX_PICKLE => {
            return Err(within(Error::format(format!("unpacks to {} bytes", member.n_bytes))));
        }
        _ => {
            let unpacked = archive::beginning(source, member, MAX_PICKLE).map_err(within)?;
            Pickle::parse(&unpacked, 0, unpacked.len() as u64, &RULES)
        }
    }
    .map_err(within)?;
    let tensors = Tensors::new(&pickle, &storages, &list);
    let mut contents = tree::contents(&tensors).map_err(within)?;
    contents.tensors.iter_mut().for_each(|tensor| tensor.big_endian = big_endian);
    Ok(contents)
}
