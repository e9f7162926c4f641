//! What an engram of either kind says in words: names and metadata. For who searches it and does not unpack it: no more code
//! than that needs, and nothing that a text could hide in is passed over.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::codec::{Codec, inflated};
use super::hybrid::is_hybrid;
use super::safetensors::{Pairs, forms};
use super::tensor::{CHUNK, Dtype, Limits};
use crate::digest::Digest;
use crate::wire::Reader;

/// What an engram says in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The names of its tensors.
    pub names: Vec<String>,
    /// The entries of the safetensors file's `__metadata__`.
    pub metadata: Vec<(String, String)>,
    /// How many numbers its tensors have.
    pub numbers: u64,
}

/// Whether `content` begins as an engram does.
#[must_use]
pub fn begins(content: &[u8]) -> bool {
    content.starts_with(b"ENGRAM\0\x01") || content.starts_with(b"ENGHYB\0\x01")
}

impl Outline {
    /// Reads what `content` says; `None` for what is no engram, or not just that: whose header is damaged or past its bounds,
    /// or whose bytes are more or fewer than the header says. Shapes and chunks are not compared: that is for who unpacks.
    /// O(header).
    #[must_use]
    pub fn read(content: &[u8], limits: &Limits) -> Option<Self> {
        if !begins(content) {
            return None;
        }
        let len = u32::from_be_bytes(content.get(8..HEAD)?.try_into().ok()?) as usize;
        if len > limits.max_header {
            return None;
        }
        let (whole, rest) = content.split_at_checked(len.saturating_add(HEAD))?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        if Digest::sha256(whole).as_bytes() != digest {
            return None;
        }
        let mut reader = Reader::new(whole.get(HEAD..)?);
        let (outline, parts) = if is_hybrid(content) {
            layered(&mut reader, limits)?
        } else {
            lossless(&mut reader, limits)?
        };
        reader.finish().ok()?;
        (parts == rest.len() as u64).then_some(outline)
    }
}

/// Reads the header of an engram in layers, and how many bytes follow it.
fn layered(reader: &mut Reader<'_>, limits: &Limits) -> Option<(Outline, u64)> {
    let outline = source(reader, limits)?;
    if flag(reader)? {
        reader.take(32).ok()?;
    }
    for _ in &outline.names {
        flag(reader)?;
    }
    let mut bytes = part(reader)?;
    let layers = reader.u8().ok()?;
    flag(reader)?;
    for _ in 0..layers {
        bytes = bytes.saturating_add(part(reader)?);
    }
    Some((outline, bytes))
}

/// Reads an index, and how many bytes follow it.
fn lossless(reader: &mut Reader<'_>, limits: &Limits) -> Option<(Outline, u64)> {
    if reader.uvarint().ok()? != CHUNK as u64 {
        return None;
    }
    let mut outline = source(reader, limits)?;
    let mut known = BTreeSet::new();
    for name in &outline.names {
        known.insert(name.clone());
    }
    for _ in 0..reader.uvarint().ok()? {
        let name = reader.bytes("bytes of a name", limits.max_name).ok()?;
        let name = core::str::from_utf8(name).ok()?;
        // Those of the source's header; others too, where there is none or they differ.
        if known.insert(name.into()) {
            if known.len() > limits.max_tensors {
                return None;
            }
            outline.names.push(name.into());
        }
        Dtype::from_code(reader.u8().ok()?)?;
        for _ in 0..reader.u8().ok()? {
            reader.uvarint().ok()?;
        }
        if flag(reader)? {
            reader.take(32).ok()?;
        }
        for _ in 0..reader.u8().ok()? {
            Codec::from_code(reader.u8().ok()?)?;
            // No codec has parameters; they would be room for a text.
            reader.bytes("bytes of parameters", 0).ok()?;
        }
    }
    let mut bytes = 0_u64;
    while reader.remaining() > 0 {
        bytes = bytes.saturating_add(u64::from(reader.u32().ok()?));
        reader.take(32).ok()?;
    }
    Some((outline, bytes))
}

/// Reads the header of the safetensors file; nothing where it is not there.
fn source(reader: &mut Reader<'_>, limits: &Limits) -> Option<Outline> {
    let len = usize::try_from(reader.uvarint().ok()?).ok()?;
    let packed = reader.bytes("bytes of a packed header", limits.max_header);
    let packed = packed.ok()?;
    let mut outline = Outline {
        names: Vec::new(),
        metadata: Pairs::new(),
        numbers: 0,
    };
    if len == 0 && packed.is_empty() {
        return Some(outline);
    }
    if len > limits.max_header.saturating_add(8) {
        return None;
    }
    let source = inflated(&[], packed, len)?;
    let (told, json) = source.split_first_chunk()?;
    if u64::from_le_bytes(*told) != json.len() as u64 {
        return None;
    }
    let (tensors, metadata) = forms(json, limits).ok()?;
    if tensors.len() > limits.max_tensors {
        return None;
    }
    outline.metadata = metadata;
    for (name, form) in tensors {
        Dtype::from_name(&form.dtype)?;
        let numbers = form
            .shape
            .iter()
            .fold(1, |all: u64, one| all.saturating_mul(*one));
        outline.numbers = outline.numbers.saturating_add(numbers);
        outline.names.push(name);
    }
    Some(outline)
}

/// Reads the length of a part; its digest and its ratio of signal to noise say nothing in words.
fn part(reader: &mut Reader<'_>) -> Option<u64> {
    let len = reader.uvarint().ok()?;
    reader.take(32 + 4).ok()?;
    Some(len)
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Bytes before a header: magic, version, length.
const HEAD: usize = 12;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::super::hostile_tests::small_file;
    use super::super::hybrid::{Options, pack};
    use super::super::index::Index;
    use super::*;

    #[test]
    fn an_outline_says_what_the_whole_header_says() {
        let limits = Limits::default();
        let lossless = small_file();
        let index = Index::parse(&lossless, &limits).unwrap();
        let outline = Outline::read(&lossless, &limits).unwrap();
        let names = index.tensors().iter().map(|tensor| &tensor.info.name);
        assert!(outline.names.iter().eq(names));

        let json = r#"{"__metadata__":{"by":"me"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}"#;
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file.extend([0; 9]);
        let packed = pack(&file, None, &Options::default(), &limits, &mut |_| true).unwrap();
        let outline = Outline::read(&packed.bytes, &limits).unwrap();
        assert_eq!(
            (outline.numbers, &outline.names[..]),
            (3, &["b".to_string(), "a".to_string()][..])
        );
        assert_eq!(outline.metadata, packed.header.metadata);

        for bytes in [lossless, packed.bytes] {
            for len in 0..bytes.len() {
                assert_eq!(Outline::read(&bytes[..len], &limits), None);
            }
            assert_eq!(Outline::read(&[&bytes[..], &[0]].concat(), &limits), None);
            let header = Limits {
                max_header: 20,
                ..Limits::default()
            };
            assert_eq!(Outline::read(&bytes, &header), None);
        }
    }

    #[test]
    fn what_hides_behind_a_packed_header_is_not_passed_over() {
        let read = |bytes: &[u8]| Outline::read(bytes, &Limits::default());
        for with in [
            super::super::hostile_tests::with_garbage,
            super::super::hybrid::hostile_tests::with_garbage,
        ] {
            assert!(read(&with(&[])).is_some());
            for garbage in [&[0][..], b"my address is 1 Main Street"] {
                assert_eq!(read(&with(garbage)), None);
            }
        }
    }
}
