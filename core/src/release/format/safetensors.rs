//! safetensors: eight bytes of length, a header in JSON, and the numbers of all tensors without gap. The header is read
//! strictly, so that nothing hides in it: known types, known fields, no name twice, no gap, no overlap, nothing after the end.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bounds::LimitError;
use crate::engram::number::Float;
use crate::engram::safetensors::{self, METADATA};
use crate::engram::tensor::{self, Dtype};
use crate::engram::{EngramError, error::TensorError};
use crate::privacy::{Embedded, Limits, Tensor};
use crate::release::error::ReleaseError;

/// Whether `content` looks like safetensors.
pub(super) fn is_safetensors(content: &[u8]) -> bool {
    header_len(content).is_some() && content.get(8) == Some(&b'{')
}

/// Returns the stated length of the header, where it is one that the content has.
fn header_len(content: &[u8]) -> Option<usize> {
    let (len, rest) = content.split_first_chunk()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    (len <= rest.len().min(MAX_HEADER)).then_some(len)
}

/// Tensors as a file holds them.
pub(super) struct Tensors {
    content: Vec<u8>,
    /// Where the numbers begin.
    data: usize,
    pub(super) infos: Vec<Info>,
    pub(super) metadata: Vec<(String, String)>,
}

/// What the header says of a tensor.
#[derive(Clone)]
pub(super) struct Info {
    pub(super) name: String,
    dtype: String,
    shape: Vec<u64>,
    start: usize,
    end: usize,
}

impl Tensors {
    /// Reads the header and checks it against the numbers. O(n).
    ///
    /// # Errors
    /// [`ReleaseError::Safetensors`], [`ReleaseError::Limit`] for more than `max_tensors`.
    pub(super) fn read(content: Vec<u8>, max_tensors: usize) -> Result<Self, ReleaseError> {
        let wrong = |reason| ReleaseError::Safetensors { reason };
        let len = header_len(&content).ok_or(wrong("the header is longer than the file"))?;
        let data = len + 8;
        let header = content.get(8..data).unwrap_or_default();
        let limits = tensor::Limits {
            max_tensors,
            ..tensor::Limits::default()
        };
        let listed = safetensors::forms(header, &limits);
        let (tensors, metadata) = listed.map_err(|error| match error {
            EngramError::Limit(past)
            | EngramError::Tensor {
                problem: TensorError::Limit(past),
                ..
            } => ReleaseError::Limit(past),
            EngramError::Header { reason, .. } => wrong(reason),
            _ => wrong("a name in the header is doubled"),
        })?;
        let bytes = content.len() - data;
        let mut infos = Vec::with_capacity(tensors.len());
        for (name, form) in tensors {
            let dtype =
                Dtype::from_name(&form.dtype).ok_or(wrong("a tensor is of no known type"))?;
            let elements = form
                .shape
                .iter()
                .try_fold(1u64, |product, dimension| product.checked_mul(*dimension));
            let stated = elements.and_then(|elements| elements.checked_mul(dtype.bits()));
            let [start, end] = form.data_offsets;
            let got = end.checked_sub(start).and_then(|len| len.checked_mul(8));
            if stated.is_none() || stated != got || end > bytes as u64 {
                return Err(wrong("a tensor's shape and place do not fit"));
            }
            infos.push(Info {
                name,
                dtype: form.dtype,
                shape: form.shape,
                // Within the content, so they fit.
                start: usize::try_from(start).unwrap_or(usize::MAX),
                end: usize::try_from(end).unwrap_or(usize::MAX),
            });
        }
        let mut places: Vec<_> = infos.iter().map(|info| (info.start, info.end)).collect();
        places.sort_unstable();
        let mut covered = 0;
        for (start, end) in places {
            if start != covered {
                return Err(wrong("tensors overlap, or leave a gap"));
            }
            covered = end;
        }
        if covered != bytes {
            return Err(wrong("bytes are left after the last tensor"));
        }
        Ok(Self {
            content,
            data,
            infos,
            metadata,
        })
    }

    /// Returns the header as it is written.
    pub(super) fn header(&self) -> &str {
        let header = self.content.get(8..self.data).unwrap_or_default();
        core::str::from_utf8(header).unwrap_or_default()
    }

    /// Returns the bytes of all numbers.
    pub(super) fn data(&self) -> &[u8] {
        self.content.get(self.data..).unwrap_or_default()
    }

    /// Hands the content back as it was.
    pub(super) fn into_content(self) -> Vec<u8> {
        self.content
    }

    /// Returns the entries of `__metadata__`.
    pub(super) fn embedded(&self) -> impl Iterator<Item = Embedded> {
        self.metadata.iter().map(|(key, text)| Embedded {
            block: "safetensors".into(),
            key: key.clone(),
            text: Some(text.clone()),
        })
    }

    /// Returns the numbers of all tensors.
    ///
    /// # Errors
    /// [`ReleaseError::NotF32`], [`ReleaseError::Limit`] for a dimension past 32 bits.
    pub(super) fn numbers(&self) -> Result<Vec<Tensor>, ReleaseError> {
        let other = self.infos.iter().filter(|info| info.dtype != "F32").count();
        if other > 0 {
            return Err(ReleaseError::NotF32 { tensors: other });
        }
        let numbers = self.content.get(self.data..).unwrap_or_default();
        let tensor = |info: &Info| {
            let (data, _) = numbers
                .get(info.start..info.end)
                .unwrap_or_default()
                .as_chunks::<4>();
            let max = u64::from(u32::MAX);
            let dimension = |dimension: &u64| {
                LimitError::check("dimension of a tensor", *dimension, max)?;
                Ok(u32::try_from(*dimension).unwrap_or(u32::MAX))
            };
            Ok(Tensor {
                name: info.name.clone(),
                shape: info
                    .shape
                    .iter()
                    .map(dimension)
                    .collect::<Result<_, LimitError>>()?,
                data: data
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect(),
            })
        };
        self.infos.iter().map(tensor).collect()
    }

    /// Returns how many numbers there are.
    pub(super) fn elements(&self) -> u64 {
        let elements = |info: &Info| info.shape.iter().product::<u64>();
        // They are in the content, so they fit.
        self.infos.iter().map(elements).sum()
    }

    /// Whether one of the tensors, which leave under `names`, is called `name` and is of this type and shape.
    pub(super) fn has(&self, names: &[String], name: &str, (dtype, shape): (&str, &[u32])) -> bool {
        self.infos.iter().zip(names).any(|(info, own)| {
            own == name
                && info.dtype.eq_ignore_ascii_case(dtype)
                && (info.shape.iter().copied()).eq(shape.iter().map(|d| u64::from(*d)))
        })
    }

    /// Checks numbers of the types that may be none, F16, BF16, F32 and F64. Returns the largest magnitude. O(n).
    ///
    /// # Errors
    /// [`ReleaseError::Number`], [`ReleaseError::Limit`] for too many dimensions.
    pub(super) fn check(&self, limits: &Limits) -> Result<f64, ReleaseError> {
        let max = f64::from(limits.max_magnitude);
        let mut largest = 0.0;
        for (tensor, info) in self.infos.iter().enumerate() {
            LimitError::check_len("dimensions", info.shape.len(), limits.max_dimensions)?;
            let data = self.data().get(info.start..info.end).unwrap_or_default();
            let dtype = Dtype::from_name(&info.dtype);
            let numbers: &mut dyn Iterator<Item = f64> = match dtype.and_then(Float::of) {
                Some(float) => &mut float.read(data).map(f64::from),
                None if dtype == Some(Dtype::F64) => &mut data
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| f64::from_le_bytes(*bytes)),
                None => continue,
            };
            for (index, number) in numbers.enumerate() {
                if !number.is_finite() || number.abs() > max {
                    let max = limits.max_magnitude;
                    return Err(ReleaseError::Number { tensor, index, max });
                }
                largest = number.abs().max(largest);
            }
        }
        Ok(largest)
    }

    /// Writes the content with `names` for the tensors, the entries that are `kept`, and the numbers of `noised` where there
    /// are some. What is the same leaves as it came.
    pub(super) fn write(
        self,
        names: &[String],
        kept: &[Embedded],
        noised: Option<&[Tensor]>,
    ) -> Vec<u8> {
        let is_renamed = self.infos.iter().map(|info| &info.name).ne(names);
        let texts = kept.iter().map(|entry| (&entry.key, entry.text.as_ref()));
        let before = self.metadata.iter().map(|(key, text)| (key, Some(text)));
        if noised.is_none() && !is_renamed && before.eq(texts) {
            return self.content;
        }
        // Names and texts are always writable.
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut entries = Vec::with_capacity(names.len() + 1);
        if !kept.is_empty() {
            let pair = |entry: &Embedded| {
                let text = entry.text.as_deref().unwrap_or_default();
                alloc::format!("{}:{}", quoted(&entry.key), quoted(text))
            };
            let pairs: Vec<_> = kept.iter().map(pair).collect();
            entries.push(alloc::format!("\"{METADATA}\":{{{}}}", pairs.join(",")));
        }
        for (info, name) in self.infos.iter().zip(names) {
            let Info {
                dtype,
                shape,
                start,
                end,
                ..
            } = info;
            entries.push(alloc::format!(
                "{}:{{\"dtype\":\"{dtype}\",\"shape\":{},\"data_offsets\":[{start},{end}]}}",
                quoted(name),
                alloc::format!("{shape:?}").replace(' ', "")
            ));
        }
        let mut header = alloc::format!("{{{}}}", entries.join(","));
        // The numbers begin at a multiple of eight bytes.
        while header.len() % 8 != 0 {
            header.push(' ');
        }
        let numbers = self.content.get(self.data..).unwrap_or_default();
        let mut content = Vec::with_capacity(8 + header.len() + numbers.len());
        content.extend_from_slice(&(header.len() as u64).to_le_bytes());
        content.extend_from_slice(header.as_bytes());
        let data = content.len();
        content.extend_from_slice(numbers);
        for (info, tensor) in self.infos.iter().zip(noised.unwrap_or_default()) {
            let room = content.get_mut(data + info.start..data + info.end);
            let (room, _) = room.unwrap_or_default().as_chunks_mut::<4>();
            for (bytes, value) in room.iter_mut().zip(&tensor.data) {
                *bytes = value.to_le_bytes();
            }
        }
        content
    }
}

/// Bytes of a header. Source: the safetensors crate refuses longer ones.
const MAX_HEADER: usize = 100_000_000;
