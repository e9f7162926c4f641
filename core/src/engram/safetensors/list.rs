//! The JSON of a header: its tensors and its metadata, read within bounds.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::wrong;
use crate::bounds::LimitError;
use crate::engram::error::{EngramError, TensorError};
use crate::engram::tensor::{Limits, short};

/// Says where in the file `error` is, and what kind of error.
fn at_error(json: &[u8], error: &serde_json::Error) -> EngramError {
    let lines = json.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let reason = match error.classify() {
        serde_json::error::Category::Data => {
            "a field is missing, unknown, doubled, of another type or past 64 bits"
        }
        _ => "the header is no JSON",
    };
    wrong(8 + before + error.column().saturating_sub(1), reason)
}

/// Texts by names, in the order of the header.
pub(crate) type Pairs = Vec<(String, String)>;

/// What a header says of a tensor beside its name.
pub(crate) struct Form {
    /// As safetensors names types; any text.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) data_offsets: [u64; 2],
}

/// Lists the tensors of a header in its order, each as `take` makes it of name and form, and its metadata. No name and no
/// field stands twice. What is past a bound is not kept first: tensors, dimensions, metadata.
///
/// # Errors
/// [`EngramError::Header`] for what is no header, [`EngramError::Tensor`], [`EngramError::Limit`],
/// [`EngramError::Metadata`], and what `take` returns.
pub(super) fn list<T>(
    json: &[u8],
    limits: &Limits,
    take: impl FnMut(&str, Form) -> Result<T, EngramError>,
) -> Result<(Vec<T>, Pairs), EngramError> {
    let mut problem = None;
    let listed = Listed {
        limits,
        take,
        problem: &mut problem,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let listed = deserializer.deserialize_map(listed);
    let listed = listed.and_then(|listed| deserializer.end().map(|()| listed));
    listed.map_err(|error| problem.unwrap_or_else(|| at_error(json, &error)))
}

/// Lists the tensors of a header in its order as they are written, and its metadata.
///
/// # Errors
/// As [`list`].
pub(crate) fn forms(
    json: &[u8],
    limits: &Limits,
) -> Result<(Vec<(String, Form)>, Pairs), EngramError> {
    list(json, limits, |name, form| Ok((name.into(), form)))
}

/// Reads a header; keeps what was wrong, because serde's errors have no room for it.
struct Listed<'a, F> {
    limits: &'a Limits,
    take: F,
    problem: &'a mut Option<EngramError>,
}

impl<'de, T, F: FnMut(&str, Form) -> Result<T, EngramError>> Visitor<'de> for Listed<'_, F> {
    type Value = (Vec<T>, Pairs);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut tensors, mut metadata, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        while let Some(Text(name)) = map.next_key()? {
            if names.contains(&name) {
                let problem = TensorError::Twice;
                return Err(self.stop(named(&name, problem)));
            }
            if name == METADATA {
                metadata = map.next_value_seed(Entries(&mut self))?;
            } else {
                let count = tensors.len() + 1;
                LimitError::check_len("tensors", count, self.limits.max_tensors)
                    .map_err(|past| self.stop(past.into()))?;
                let Entry {
                    dtype,
                    shape: Shape { dimensions, rank },
                    data_offsets,
                } = map.next_value()?;
                LimitError::check_len("dimensions", rank, self.limits.max_rank.min(MAX_RANK))
                    .map_err(|past| self.stop(named(&name, past.into())))?;
                let form = Form {
                    dtype,
                    shape: dimensions,
                    data_offsets,
                };
                let taken = (self.take)(&name, form);
                tensors.push(taken.map_err(|error| self.stop(error))?);
            }
            names.insert(name);
        }
        Ok((tensors, metadata))
    }
}

impl<F> Listed<'_, F> {
    /// Keeps `error` and returns what ends the reading.
    fn stop<E: serde::de::Error>(&mut self, error: EngramError) -> E {
        *self.problem = Some(error);
        E::custom("refused")
    }
}

fn named(name: &str, problem: TensorError) -> EngramError {
    let name = short(name);
    EngramError::Tensor { name, problem }
}

/// A tensor as a header has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

/// Dimensions, of which no more than [`MAX_RANK`] are kept, and how many there are.
struct Shape {
    dimensions: Vec<u64>,
    rank: usize,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let (mut dimensions, mut rank) = (Vec::new(), 0);
                while let Some(dimension) = seq.next_element()? {
                    rank += 1;
                    if rank <= MAX_RANK {
                        dimensions.push(dimension);
                    }
                }
                Ok(Shape { dimensions, rank })
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

/// A text, borrowed from the header where nothing in it is escaped.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// Reads pairs of texts, none of them twice.
struct Entries<'l, 'a, F>(&'l mut Listed<'a, F>);

impl<'de, F> DeserializeSeed<'de> for Entries<'_, '_, F> {
    type Value = Pairs;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Pairs, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F> Visitor<'de> for Entries<'_, '_, F> {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key()? {
            let count = pairs.len() + 1;
            LimitError::check_len("texts of metadata", count, self.0.limits.max_metadata)
                .map_err(|past| self.0.stop(past.into()))?;
            pairs.push((key, map.next_value()?));
        }
        check_metadata(&pairs, self.0.limits).map_err(|error| self.0.stop(error))?;
        Ok(pairs)
    }
}

/// Checks how many texts there are, and that no key is there twice.
pub(super) fn check_metadata(
    metadata: &[(String, String)],
    limits: &Limits,
) -> Result<(), EngramError> {
    LimitError::check_len("texts of metadata", metadata.len(), limits.max_metadata)?;
    let mut keys: Vec<&str> = metadata.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(EngramError::Metadata {
            key: pair.first().map(|key| short(key)).unwrap_or_default(),
        }),
        None => Ok(()),
    }
}

/// Dimensions that an index can have.
const MAX_RANK: usize = u8::MAX as usize;

/// The entry of a header that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";
