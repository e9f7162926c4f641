//! The header of a safetensors file, read strictly and kept to the byte: length, JSON, padding, `__metadata__`.
//!
//! Known types, known fields, no name twice, no gap, no overlap; every number belongs to a tensor. Source: the `safetensors`
//! README, "Format", and the checks of its crate 0.6.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

mod list;

pub(crate) use list::{METADATA, Pairs, forms};
use list::{check_metadata, list};

use super::error::{EngramError, TensorError};
use super::tensor::{Dtype, Limits, TensorInfo, short};
use crate::bounds::LimitError;

/// The header of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: Vec<u8>,
    tensors: Vec<TensorInfo>,
    metadata: Pairs,
    data_len: u64,
}

impl Header {
    /// Returns how long a header is, its length included, from the first eight bytes of a file.
    ///
    /// # Errors
    /// [`EngramError::Limit`] for one past `limits`, [`EngramError::Header`] for fewer than eight bytes.
    pub fn len_of(head: &[u8], limits: &Limits) -> Result<usize, EngramError> {
        let Some((len, _)) = head.split_first_chunk() else {
            return Err(wrong(
                head.len(),
                "the file ends in the length of its header",
            ));
        };
        let len = u64::from_le_bytes(*len);
        LimitError::check("bytes of a header", len, limits.max_header as u64)?;
        Ok((len as usize).saturating_add(8))
    }

    /// Reads a header, its length included, and checks it. `bytes` may go on after it. O(n log n).
    ///
    /// # Errors
    /// [`EngramError::Header`], [`EngramError::Tensor`], [`EngramError::Limit`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, EngramError> {
        let (bytes, json) = split(bytes, limits)?;
        let (mut listed, metadata) = list(json, limits, |name, form| {
            let Some(dtype) = Dtype::from_name(&form.dtype) else {
                let (name, got) = (short(name), short(&form.dtype));
                return Err(EngramError::Dtype { name, got });
            };
            let info = TensorInfo {
                name: name.into(),
                dtype,
                shape: form.shape,
            };
            info.validate(limits)?;
            Ok((info, form.data_offsets))
        })?;
        // By place; tensors without numbers stay in the order of the header.
        listed.sort_by_key(|(_, place)| *place);
        let end = check_places(listed.iter().map(|(info, place)| (info, *place)))?;
        LimitError::check("bytes of all tensors", end, limits.max_bytes)?;
        let tensors = listed.into_iter().map(|(info, _)| info).collect();
        Ok(Self {
            bytes: bytes.to_vec(),
            tensors,
            metadata,
            data_len: end,
        })
    }

    /// Makes a header for `tensors`, whose numbers follow in this order, as the `safetensors` crate would write it.
    ///
    /// # Errors
    /// [`EngramError::Tensor`], [`EngramError::Limit`].
    pub fn new(
        tensors: Vec<TensorInfo>,
        metadata: Vec<(String, String)>,
        limits: &Limits,
    ) -> Result<Self, EngramError> {
        LimitError::check_len("tensors", tensors.len(), limits.max_tensors)?;
        check_metadata(&metadata, limits)?;
        // Text is always writable.
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut entries = Vec::with_capacity(tensors.len() + 1);
        if !metadata.is_empty() {
            let pairs: Vec<_> = metadata
                .iter()
                .map(|(key, text)| format!("{}:{}", quoted(key), quoted(text)))
                .collect();
            entries.push(format!("\"{METADATA}\":{{{}}}", pairs.join(",")));
        }
        let (mut names, mut from) = (BTreeSet::new(), 0u64);
        for info in &tensors {
            info.validate(limits)?;
            if info.name == METADATA {
                return Err(info.error(TensorError::Reserved));
            }
            if !names.insert(info.name.as_str()) {
                return Err(info.error(TensorError::Twice));
            }
            let bytes = info.bytes().map_err(|problem| info.error(problem))?;
            let to = from.saturating_add(bytes);
            let shape = format!("{:?}", info.shape).replace(' ', "");
            let (name, dtype) = (quoted(&info.name), info.dtype.name());
            entries.push(format!(
                "{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}"
            ));
            from = to;
        }
        LimitError::check("bytes of all tensors", from, limits.max_bytes)?;
        let mut json = format!("{{{}}}", entries.join(","));
        // Numbers begin at a multiple of eight bytes.
        while json.len() % 8 != 0 {
            json.push(' ');
        }
        LimitError::check_len("bytes of a header", json.len(), limits.max_header)?;
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        Ok(Self {
            bytes,
            tensors,
            metadata,
            data_len: from,
        })
    }

    /// Returns the header as it is in the file, its length included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the tensors in the order of their numbers.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Returns the entries of `__metadata__`.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// Returns the bytes of all numbers, which follow the header.
    pub const fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Checks the length of the whole file.
    ///
    /// # Errors
    /// [`EngramError::Header`] for one that is shorter or longer than header and numbers.
    pub fn check_file_len(&self, len: u64) -> Result<(), EngramError> {
        let offset = (self.bytes.len() as u64).saturating_add(self.data_len);
        match len.cmp(&offset) {
            core::cmp::Ordering::Equal => Ok(()),
            core::cmp::Ordering::Less => Err(EngramError::Header {
                offset: len,
                reason: "the file ends before its last tensor",
            }),
            core::cmp::Ordering::Greater => Err(EngramError::Header {
                offset,
                reason: "bytes are left after the last tensor",
            }),
        }
    }
}

fn wrong(offset: usize, reason: &'static str) -> EngramError {
    EngramError::Header {
        offset: offset as u64,
        reason,
    }
}

/// Returns the header at the start of `bytes`, and its JSON alone.
fn split<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(&'a [u8], &'a [u8]), EngramError> {
    let len = Header::len_of(bytes, limits)?;
    let header = bytes
        .get(..len)
        .ok_or_else(|| wrong(bytes.len(), "the file ends in its header"))?;
    let json = header.get(8..).unwrap_or_default();
    if json.first() == Some(&b'{') {
        Ok((header, json))
    } else {
        Err(wrong(8, "the header must begin with {"))
    }
}

/// Checks that `header`, its length included, lists just these tensors in this order. Stops at the first that is another
/// one; takes 100 bytes a tensor beside `header`.
///
/// # Errors
/// Those of [`Header::parse`], [`EngramError::State`].
pub(super) fn check_lists(
    header: &[u8],
    tensors: &[&TensorInfo],
    limits: &Limits,
) -> Result<(), EngramError> {
    let what = "the header of the source must list the tensors of the index";
    let other = || EngramError::State { what };
    let (whole, json) = split(header, limits)?;
    let by_name: BTreeMap<&str, usize> = (tensors.iter().enumerate())
        .map(|(at, info)| (info.name.as_str(), at))
        .collect();
    let (mut places, _) = list(json, limits, |name, form| {
        let at = by_name.get(name).copied().ok_or_else(other)?;
        let is_same = tensors
            .get(at)
            .is_some_and(|info| info.dtype.name() == form.dtype && info.shape == form.shape);
        is_same.then_some((form.data_offsets, at)).ok_or_else(other)
    })?;
    places.sort_by_key(|(place, _)| *place);
    let is_in_order = places.iter().map(|(_, at)| *at).eq(0..tensors.len());
    if whole.len() < header.len() || !is_in_order {
        return Err(other());
    }
    let places = places.iter().map(|(place, _)| *place);
    check_places(tensors.iter().copied().zip(places)).map(|_| ())
}

/// Checks that tensors lie one after the other, each as long as it is; returns where the last ends.
fn check_places<'a>(
    tensors: impl Iterator<Item = (&'a TensorInfo, [u64; 2])>,
) -> Result<u64, EngramError> {
    let mut end = 0;
    for (info, [from, to]) in tensors {
        let expected = info.bytes().map_err(|problem| info.error(problem))?;
        if from != end {
            let (expected, got) = (end, from);
            return Err(info.error(TensorError::Place { expected, got }));
        }
        let Some(got) = to.checked_sub(from) else {
            return Err(info.error(TensorError::Backwards { from, to }));
        };
        if got != expected {
            return Err(info.error(TensorError::Length { expected, got }));
        }
        end = to;
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
