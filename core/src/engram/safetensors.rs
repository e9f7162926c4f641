//! The header of a safetensors file, read strictly and kept to the byte: length, JSON, padding, `__metadata__`.
//!
//! Known types, known fields, no name twice, no gap, no overlap; every number belongs to a tensor. Source: the `safetensors`
//! README, "Format", and the checks of its crate 0.6.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::error::{EngramError, TensorError};
use super::tensor::{Dtype, Limits, TensorInfo};
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
        Ok(8 + len as usize)
    }

    /// Reads a header, its length included, and checks it. `bytes` may go on after it. O(n log n).
    ///
    /// # Errors
    /// [`EngramError::Header`], [`EngramError::Tensor`], [`EngramError::Limit`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, EngramError> {
        let len = Self::len_of(bytes, limits)?;
        let bytes = bytes
            .get(..len)
            .ok_or_else(|| wrong(bytes.len(), "the file ends in its header"))?;
        let json = bytes.get(8..).unwrap_or_default();
        if json.first() != Some(&b'{') {
            return Err(wrong(8, "the header must begin with {"));
        }
        let mut count = 0;
        let listed = list(json, |name, form| {
            count += 1;
            if count > limits.max_tensors {
                return Err("too many tensors");
            }
            let dtype = Dtype::from_name(&form.dtype).ok_or("type")?;
            let info = TensorInfo {
                name,
                dtype,
                shape: form.shape,
            };
            Ok((info, form.data_offsets))
        });
        let (mut listed, metadata) = listed.map_err(|error| at_error(json, &error))?;
        // By place; tensors without numbers stay in the order of the header.
        listed.sort_by_key(|(_, place)| *place);
        let mut tensors = Vec::with_capacity(listed.len());
        let mut end = 0;
        for (info, [from, to]) in listed {
            info.validate(limits)?;
            let expected = info.bytes().map_err(|problem| info.error(problem))?;
            if from != end {
                return Err(info.error(TensorError::Place {
                    expected: end,
                    got: from,
                }));
            }
            let got = to.checked_sub(from).unwrap_or(u64::MAX);
            if got != expected {
                return Err(info.error(TensorError::Length { expected, got }));
            }
            end = to;
            tensors.push(info);
        }
        LimitError::check("bytes of all tensors", end, limits.max_bytes)?;
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
            if !names.insert(info.name.as_str()) || info.name == METADATA {
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

/// Says where in the file `error` is, and what kind of error.
fn at_error(json: &[u8], error: &serde_json::Error) -> EngramError {
    let lines = json.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let reason = match error.classify() {
        serde_json::error::Category::Data => {
            "a field is missing, unknown, doubled, of another type or past its bound"
        }
        _ => "the header is no JSON",
    };
    wrong(8 + before + error.column().saturating_sub(1), reason)
}

/// Texts by names, in the order of the header.
pub(crate) type Pairs = Vec<(String, String)>;

/// What a header says of a tensor beside its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    /// As safetensors names types; any text.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) data_offsets: [u64; 2],
}

/// Lists the tensors of a header in its order, each as `take` makes it of name and form, and its metadata. No name and no
/// field stands twice; what `take` refuses is an error at that place.
///
/// # Errors
/// Those of `serde_json`, with category `Data` for JSON that is no header.
fn list<T>(
    json: &[u8],
    take: impl FnMut(String, Form) -> Result<T, &'static str>,
) -> Result<(Vec<T>, Pairs), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let listed = deserializer.deserialize_map(Listed(take))?;
    deserializer.end()?;
    Ok(listed)
}

/// Lists the tensors of a header in its order as they are written, and its metadata.
///
/// # Errors
/// As [`list`].
pub(crate) fn forms(json: &[u8]) -> Result<(Vec<(String, Form)>, Pairs), serde_json::Error> {
    list(json, |name, form| Ok((name, form)))
}

struct Listed<F>(F);

impl<'de, T, F: FnMut(String, Form) -> Result<T, &'static str>> Visitor<'de> for Listed<F> {
    type Value = (Vec<T>, Pairs);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut tensors, mut metadata, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("twice"));
            }
            if name == METADATA {
                metadata = map.next_value::<Entries>()?.0;
            } else {
                let form = map.next_value()?;
                tensors.push((self.0)(name, form).map_err(A::Error::custom)?);
            }
        }
        Ok((tensors, metadata))
    }
}

/// Pairs of texts, none of them twice.
struct Entries(Pairs);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let (mut pairs, mut keys) = (Vec::new(), BTreeSet::new());
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if !keys.insert(key.clone()) {
                        return Err(A::Error::custom("twice"));
                    }
                    pairs.push((key, text));
                }
                Ok(Entries(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The entry of a header that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn file(json: &str) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes
    }

    fn parse(json: &str) -> Result<Header, EngramError> {
        Header::parse(&file(json), &Limits::default())
    }

    fn refused(json: &str) -> String {
        parse(json).unwrap_err().to_string()
    }

    #[test]
    fn a_header_is_kept_to_the_byte_and_listed_by_place() {
        let json = "{ \"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},\n\
            \"__metadata__\":{\"format\":\"pt\"},\"a\":{\"data_offsets\":[0,4],\"dtype\":\"BF16\",\"shape\":[2]},\
            \"e\":{\"dtype\":\"I8\",\"shape\":[0,9],\"data_offsets\":[4,4]},\
            \"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[28,29]}}   ";
        let header = parse(json).unwrap();
        assert_eq!(header.bytes(), file(json));
        let names: Vec<_> = header
            .tensors()
            .iter()
            .map(|info| info.name.as_str())
            .collect();
        assert_eq!(names, ["a", "e", "b", "s"]);
        assert_eq!((header.data_len(), header.metadata().len()), (29, 1));
        header
            .check_file_len(header.bytes().len() as u64 + 29)
            .unwrap();
        assert!(header.check_file_len(29).is_err());
        assert!(header.check_file_len(1000).is_err());
    }

    #[test]
    fn a_header_that_is_made_is_read_back() {
        let info = |name: &str, shape: &[u64]| TensorInfo {
            name: name.into(),
            dtype: Dtype::F16,
            shape: shape.into(),
        };
        let tensors = alloc::vec![info("a\"\\", &[3, 4]), info("é", &[]), info("", &[0])];
        let made = Header::new(
            tensors,
            alloc::vec![("k".into(), "\n".into())],
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(
            Header::parse(made.bytes(), &Limits::default()),
            Ok(made.clone())
        );
        assert_eq!(made.bytes().len() % 8, 0);
    }

    #[test]
    fn headers_that_lie_are_refused_with_the_tensor_and_the_place() {
        let one = |place: &str| {
            format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{place}}}}}")
        };
        for (place, said) in [
            ("[0,9]", "its shape and type make 8 bytes, its place is 9"),
            ("[0,4]", "its place is 4"),
            ("[8,0]", "must begin at byte 0 of the numbers, begins at 8"),
            (
                "[0,18446744073709551615]",
                "its place is 18446744073709551615",
            ),
            ("[4,12]", "must begin at byte 0"),
        ] {
            let error = refused(&one(place));
            assert!(
                error.contains("tensor \"w\"") && error.contains(said),
                "{place}: {error}"
            );
        }
        for place in [
            "[0,18446744073709551616]",
            "[-1,8]",
            "[0.0,8]",
            "[0,8,9]",
            "[0]",
            "\"\"",
        ] {
            assert!(
                refused(&one(place)).starts_with("safetensors header, byte "),
                "{place}"
            );
        }
    }

    #[test]
    fn overlaps_holes_and_names_that_are_there_twice_are_refused() {
        let two = |second: &str| {
            format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}},{second}}}")
        };
        let at = |place: &str| {
            two(&format!(
                "\"b\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":{place}}}"
            ))
        };
        parse(&at("[4,8]")).unwrap();
        for place in ["[3,7]", "[5,9]", "[0,4]"] {
            assert!(
                refused(&at(place)).contains("must begin at byte 4"),
                "{place}"
            );
        }
        for second in [
            "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}",
            "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[4,8]}",
            "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8],\"more\":1}",
            "\"b\":{\"dtype\":\"U9\",\"shape\":[4],\"data_offsets\":[4,8]}",
            "\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}",
            "\"__metadata__\":{\"k\":1}",
        ] {
            assert!(
                refused(&two(second)).contains("a field is missing, unknown, doubled"),
                "{second}"
            );
        }
    }

    #[test]
    fn counts_of_2_to_the_64_and_what_is_past_a_bound_are_refused() {
        let shape = |shape: &str| {
            refused(&format!(
                "{{\"w\":{{\"dtype\":\"F64\",\"shape\":{shape},\"data_offsets\":[0,0]}}}}"
            ))
        };
        assert!(shape("[4294967296,4294967296]").contains("2^64"));
        assert!(shape("[18446744073709551615]").contains("2^64"));
        assert!(shape("[18446744073709551616]").contains("past its bound"));
        assert!(
            shape("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]")
                .contains("dimensions must be at most 16, got 17")
        );
        assert!(shape("[9000000000]").contains("bytes of a tensor must be at most"));
        let odd = "{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}";
        assert!(refused(odd).contains("whole number of bytes"));
        let long = format!(
            "{{\"{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}}}",
            "n".repeat(600)
        );
        assert!(refused(&long).contains("bytes of a tensor's name must be at most 512, got 600"));
        let limits = Limits {
            max_tensors: 0,
            ..Limits::default()
        };
        assert!(
            Header::parse(
                &file("{\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
                &limits
            )
            .is_err()
        );
        let mut huge = u64::MAX.to_le_bytes().to_vec();
        huge.push(b'{');
        let error = Header::parse(&huge, &Limits::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "bytes of a header must be at most 8388608, got 18446744073709551615"
        );
    }

    #[test]
    fn what_is_no_json_names_the_byte() {
        assert_eq!(
            refused("{\"w\"\n:]}"),
            "safetensors header, byte 14: the header is no JSON"
        );
        assert!(refused(" {}").contains("must begin with {"));
        assert!(refused("{}x").contains("the header is no JSON"));
        assert!(refused("{").contains("no JSON"));
        assert!(Header::parse(&file("{}")[..9], &Limits::default()).is_err());
        assert!(Header::parse(&[0; 7], &Limits::default()).is_err());
        assert_eq!(parse("{}").unwrap().data_len(), 0);
    }
}
