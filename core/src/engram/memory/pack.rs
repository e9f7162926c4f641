//! Records in few bytes: heads, then all texts in one deflate stream that starts from a dictionary both sides have.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | the start of the dictionary's SHA-256 |
//! | varint × 3 | records, bytes of all texts, bytes of the deflate stream |
//! | of each record: 1 | bits of the embedding; 128 more where the subject is the text itself |
//! | varint × 4 | dimensions, importance, time, bytes of the text |
//! | 32 | the subject, unless it is the text itself |
//! | rest | the embedding |
//! | at the end | the texts, deflated (RFC 1951) |
//!
//! Evidence does not travel: whoever packs could claim any. What comes out is one observation, that of the sender.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

use super::super::codec::inflated;
use super::{Config, Embedding, EmbeddingError, Record};
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::{Reader, WireError, Writer};

/// Why bytes are no records.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A field is cut off or past its bound.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An embedding is none.
    #[error("record {index}: {error}")]
    Embedding {
        /// Which record.
        index: u64,
        /// What is wrong.
        error: EmbeddingError,
    },
    /// A record is from the future, beyond the tolerance for clocks: it would stay hotter than all others.
    #[error("record {index} must be of {latest} ms since 1970 or earlier, got {got}")]
    Future {
        /// Which record.
        index: u64,
        /// Its time, in milliseconds since 1970.
        got: u64,
        /// The latest time that is taken.
        latest: u64,
    },
    /// A version that this one does not know.
    #[error("version of packed records must be 1, got {got}")]
    Version {
        /// The version.
        got: u8,
    },
    /// They were packed with another dictionary.
    #[error("the dictionary's digest must start with {expected:02x?}, got {got:02x?}")]
    Dictionary {
        /// What the bytes name.
        expected: [u8; 4],
        /// What was given.
        got: [u8; 4],
    },
    /// The texts do not unpack to what was announced.
    #[error("texts must unpack to {announced} bytes of UTF-8 that the records share out")]
    Texts {
        /// Bytes announced.
        announced: u64,
    },
}

impl From<LimitError> for PackError {
    fn from(error: LimitError) -> Self {
        Self::Wire(error.into())
    }
}

/// Returns the texts of `records`, one after the other, as a dictionary of at most [`MAX_DICTIONARY`] bytes: what both
/// sides know already.
pub fn dictionary_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    let mut dictionary = Vec::new();
    for record in records {
        let left = MAX_DICTIONARY - dictionary.len();
        let text = record.text.as_bytes();
        dictionary.extend_from_slice(&text[..text.len().min(left)]);
    }
    dictionary
}

/// Packs `records`. Of `dictionary`, which the receiver must have, the last [`MAX_DICTIONARY`] bytes count.
///
/// # Errors
/// [`LimitError`] where all texts have more bytes than [`MAX_TEXTS`], which nobody unpacks.
pub fn pack<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    dictionary: &[u8],
) -> Result<Vec<u8>, LimitError> {
    let mut texts = Vec::new();
    let mut heads = Writer::new();
    let mut count = 0u64;
    for record in records {
        count += 1;
        let len = texts.len() as u64 + record.text.len() as u64;
        LimitError::check(ALL_TEXTS, len, MAX_TEXTS)?;
        texts.extend_from_slice(record.text.as_bytes());
        let is_text = record.subject == *Digest::sha256(record.text.as_bytes()).as_bytes();
        heads.u8(record.embedding.bits() | if is_text { IS_TEXT } else { 0 });
        heads.uvarint(record.embedding.dimensions() as u64);
        heads.uvarint(record.importance.into());
        heads.uvarint(record.time_millis);
        heads.uvarint(record.text.len() as u64);
        if !is_text {
            heads.put(&record.subject);
        }
        heads.put(record.embedding.as_bytes());
    }
    let deflated = deflate(tail(dictionary), &texts);
    let mut writer = Writer::new();
    writer.u8(VERSION).put(&name(dictionary)).uvarint(count);
    writer.uvarint(texts.len() as u64);
    writer.uvarint(deflated.len() as u64);
    writer.put(&heads.into_bytes()).put(&deflated);
    Ok(writer.into_bytes())
}

/// Reads records that anybody may have packed. Each has an evidence of 1: it is the caller who knows how many independent peers
/// told it, and raises it. `now_millis` is the time in milliseconds since 1970; records are at most
/// [`Config::max_skew_millis`] later. Memory is bounded by what was announced and by `config`: its records, times its bytes of
/// text and embedding.
///
/// # Errors
/// [`PackError`] that names what is wrong.
pub fn unpack(
    bytes: &[u8],
    dictionary: &[u8],
    config: &Config,
    now_millis: u64,
) -> Result<Vec<Record>, PackError> {
    let mut reader = Reader::new(bytes);
    let got = reader.u8()?;
    if got != VERSION {
        return Err(PackError::Version { got });
    }
    let (expected, got) = (reader.array()?, name(dictionary));
    if expected != got {
        return Err(PackError::Dictionary { expected, got });
    }
    let count = reader.uvarint()?;
    LimitError::check("records", count, config.max_records as u64)?;
    let announced = reader.uvarint()?;
    let most = (config.max_text as u64).saturating_mul(count);
    LimitError::check(ALL_TEXTS, announced, most.min(MAX_TEXTS))?;
    let packed = reader.uvarint()?;
    LimitError::check("bytes of the stream", packed, reader.remaining() as u64)?;

    let mut heads = Vec::new();
    let mut shared_out = 0u64;
    for index in 0..count {
        let (record, len, is_text) = head(&mut reader, index, config)?;
        let (got, latest) = (
            record.time_millis,
            now_millis.saturating_add(config.max_skew_millis),
        );
        if got > latest {
            return Err(PackError::Future { index, got, latest });
        }
        shared_out = shared_out.saturating_add(len as u64);
        heads.push((record, len, is_text));
    }
    let deflated = reader.take(packed as usize)?;
    reader.finish()?;
    let wrong = PackError::Texts { announced };
    if shared_out != announced {
        // Known before a byte is inflated.
        return Err(wrong);
    }
    let text = inflated(tail(dictionary), deflated, announced as usize);
    let text = text.and_then(|text| String::from_utf8(text).ok());
    let mut rest = text.as_deref().ok_or_else(|| wrong.clone())?;
    let mut records = Vec::with_capacity(heads.len());
    for (mut record, len, is_text) in heads {
        let (own, left) = rest.split_at_checked(len).ok_or_else(|| wrong.clone())?;
        rest = left;
        record.text = own.into();
        if is_text {
            record.subject = *Digest::sha256(own.as_bytes()).as_bytes();
        }
        records.push(record);
    }
    if rest.is_empty() {
        Ok(records)
    } else {
        Err(wrong)
    }
}

/// Reads what stands before the texts: a record without its text, the bytes of that, and whether it is the subject.
fn head(
    reader: &mut Reader<'_>,
    index: u64,
    config: &Config,
) -> Result<(Record, usize, bool), PackError> {
    let flags = reader.u8()?;
    let dimensions = reader.uvarint()?;
    let most = config.max_dimensions as u64;
    LimitError::check("embedding dimensions", dimensions, most)?;
    let importance = reader.uvarint()?;
    LimitError::check("importance", importance, u16::MAX.into())?;
    let time_millis = reader.uvarint()?;
    let len = reader.uvarint()?;
    LimitError::check("text bytes", len, config.max_text as u64)?;
    let is_text = flags & IS_TEXT != 0;
    let subject = if is_text { [0; 32] } else { reader.array()? };
    let (bits, dimensions) = (flags & !IS_TEXT, dimensions as u32);
    let coded = reader.take(Embedding::bytes_for(dimensions, bits))?;
    let embedding = Embedding::from_bytes(dimensions, bits, coded);
    let record = Record {
        subject,
        text: String::new(),
        embedding: embedding.map_err(|error| PackError::Embedding { index, error })?,
        importance: importance as u16,
        time_millis,
        evidence: 1,
    };
    Ok((record, len as usize, is_text))
}

/// Deflates `text` as it goes on after `dictionary`, of which nothing is written.
fn deflate(dictionary: &[u8], text: &[u8]) -> Vec<u8> {
    // Raw, with the longest search.
    let flags = create_comp_flags_from_zip_params(10, 0, 0);
    let mut compressor = CompressorOxide::new(flags);
    drive(&mut compressor, dictionary, TDEFLFlush::Sync);
    drive(&mut compressor, text, TDEFLFlush::Finish)
}

fn drive(compressor: &mut CompressorOxide, mut input: &[u8], flush: TDEFLFlush) -> Vec<u8> {
    let mut output = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        let (status, read, written) = compress(compressor, input, &mut buffer, flush);
        output.extend_from_slice(buffer.get(..written).unwrap_or_default());
        input = input.get(read..).unwrap_or_default();
        let is_over = input.is_empty() && written < buffer.len();
        if status != TDEFLStatus::Okay || is_over {
            return output;
        }
    }
}

fn tail(dictionary: &[u8]) -> &[u8] {
    &dictionary[dictionary.len().saturating_sub(MAX_DICTIONARY)..]
}

fn name(dictionary: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *Digest::sha256(tail(dictionary)).as_bytes();
    [a, b, c, d]
}

/// Bytes of a dictionary: how far deflate refers back. Source: RFC 1951, section 2.
pub const MAX_DICTIONARY: usize = 32 * 1024;
/// Bytes of all texts of one pack. Guess: a full memory of pages.
pub const MAX_TEXTS: u64 = 1 << 24;
const ALL_TEXTS: &str = "bytes of all texts";
const VERSION: u8 = 1;
const IS_TEXT: u8 = 0x80;
