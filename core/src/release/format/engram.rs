//! Engrams, lossless or in layers: their names and metadata are read, strictly and within bounds; their numbers are packed,
//! and nothing would read as text in them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::engram::hybrid;
use crate::engram::safetensors::{Header, Pairs};
use crate::engram::{Index, Limits, TensorInfo};

/// What an engram says in words.
pub(super) struct Engram {
    pub(super) names: Vec<String>,
    /// The entries of `__metadata__`.
    pub(super) metadata: Pairs,
    /// How many numbers there are.
    pub(super) numbers: u64,
}

/// Whether `content` begins as an engram does.
pub(super) fn begins(content: &[u8]) -> bool {
    content.starts_with(b"ENGRAM\0\x01") || content.starts_with(b"ENGHYB\0\x01")
}

impl Engram {
    /// Reads what `content` says; `None` for what is no engram, or not just that: whose header is damaged, lies or is past its
    /// bounds, or whose bytes are more or fewer than the header says. O(header).
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        if !begins(content) {
            return None;
        }
        let limits = Limits::default();
        let len = content.len() as u64;
        if hybrid::is_hybrid(content) {
            let header = hybrid::Header::parse(content, &limits).ok()?;
            let numbers = numbers(header.tensors.iter());
            let names = header.tensors.iter().map(|info| info.name.clone());
            return (header.file_len() == len).then_some(Self {
                names: names.collect(),
                numbers,
                metadata: header.metadata,
            });
        }
        let index = Index::parse(content, &limits).ok()?;
        let layers = || index.tensors().iter().flat_map(|tensor| &tensor.layers);
        // No codec has any; they would be room for a text.
        let has_params = layers().any(|layer| !layer.params.is_empty());
        if index.file_len() != len || has_params {
            return None;
        }
        let metadata = match index.source() {
            [] => Pairs::new(),
            source => Header::parse(source, &limits).ok()?.metadata().to_vec(),
        };
        let infos = || index.tensors().iter().map(|tensor| &tensor.info);
        Some(Self {
            names: infos().map(|info| info.name.clone()).collect(),
            numbers: numbers(infos()),
            metadata,
        })
    }
}

fn numbers<'a>(infos: impl Iterator<Item = &'a TensorInfo>) -> u64 {
    let numbers =
        |info: &TensorInfo| info.bytes().unwrap_or(0).saturating_mul(8) / info.dtype.bits();
    infos.map(numbers).fold(0, u64::saturating_add)
}
