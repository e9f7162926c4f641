//! What is sealed when a file is addressed: its type, name and metrics travel inside, where only the recipients read them.
//!
//! # Form
//! Varint length and bytes of `chorus/parcel/1`, the same of the type, the same of the name, then the content to the
//! end. With metrics `chorus/parcel/2`, and between name and content their number as a varint and, in ascending order of
//! the names, varint length and bytes of each one's name and its number as IEEE 754 binary64.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bounds::LimitError;
use crate::wire::{Reader, WireError, Writer};

/// Content with its type and name, as the sender wrote them: a name is not fit to be a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// What kind of content this is, such as a packet's type: at most [`Parcel::MAX_TYPE`] bytes.
    pub content_type: String,
    /// What the content is called, such as a file's name: at most [`Parcel::MAX_NAME`] bytes; may be empty.
    pub name: String,
    /// The metrics that a packet for everybody would carry, such as the ε that was spent: at most
    /// [`Parcel::MAX_METRICS`] finite numbers with names of at most [`Parcel::MAX_TYPE`] bytes.
    pub quality: BTreeMap<String, f64>,
    /// The content.
    pub content: Vec<u8>,
}

/// Why sealed content is no parcel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// The type or name is longer than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It ends too early or has a bad length in it.
    #[error("parcel: {0}")]
    Wire(#[from] WireError),
    /// The first bytes are not those of a parcel of these versions.
    #[error("parcel must begin with `chorus/parcel/1` or `chorus/parcel/2`, got {got}")]
    Format {
        /// The first bytes.
        got: String,
    },
    /// A metric is not finite, or not after the one before.
    #[error("metric {name:?} of a parcel must be finite and after the one before, got {value}")]
    Metric {
        /// Its name.
        name: String,
        /// Its number.
        value: f64,
    },
    /// The type, name or a metric's name is not UTF-8.
    #[error("{what} of a parcel must be UTF-8, got {got}")]
    Text {
        /// Which of them.
        what: &'static str,
        /// The bytes.
        got: String,
    },
}

impl Parcel {
    /// Bytes of the type. Source: `packet::MAX_NAME`.
    pub const MAX_TYPE: usize = 64;
    /// Bytes of the name. Source: file systems allow 255.
    pub const MAX_NAME: usize = 255;
    /// Metrics. Source: `packet::MAX_QUALITY_METRICS`.
    pub const MAX_METRICS: usize = 32;
    /// Bytes before the content, at most.
    pub const MAX_FRONT: usize = DOMAIN.len()
        + Self::MAX_TYPE
        + Self::MAX_NAME
        + 6
        + Self::MAX_METRICS * (Self::MAX_TYPE + 9);

    /// Returns the bytes that a parcel of this type, name and these metrics has before its content.
    pub fn front_len(content_type: &str, name: &str, quality: &BTreeMap<String, f64>) -> usize {
        let mut writer = Writer::with_capacity(Self::MAX_FRONT);
        write_front(&mut writer, (content_type, name), quality);
        writer.len()
    }

    /// Returns the form that is sealed. O(n).
    ///
    /// # Errors
    /// [`ParcelError::Limit`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ParcelError> {
        LimitError::check_len(TYPE_BYTES, self.content_type.len(), Self::MAX_TYPE)?;
        LimitError::check_len(NAME_BYTES, self.name.len(), Self::MAX_NAME)?;
        LimitError::check_len(METRICS, self.quality.len(), Self::MAX_METRICS)?;
        for (name, value) in &self.quality {
            LimitError::check_len(METRIC_BYTES, name.len(), Self::MAX_TYPE)?;
            if !value.is_finite() {
                let (name, value) = (name.clone(), *value);
                return Err(ParcelError::Metric { name, value });
            }
        }
        let mut writer = Writer::with_capacity(Self::MAX_FRONT + self.content.len());
        let texts = (&*self.content_type, &*self.name);
        write_front(&mut writer, texts, &self.quality);
        writer.put(&self.content);
        Ok(writer.into_bytes())
    }

    /// Reads what was sealed. O(n).
    ///
    /// # Errors
    /// [`ParcelError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParcelError> {
        let mut reader = Reader::new(bytes);
        let domain = reader.bytes("parcel domain bytes", DOMAIN.len())?;
        if domain != DOMAIN && domain != WITH_METRICS {
            return Err(ParcelError::Format {
                got: format!("{}", domain.escape_ascii()),
            });
        }
        let content_type = text("type", reader.bytes(TYPE_BYTES, Self::MAX_TYPE)?)?;
        let name = text("name", reader.bytes(NAME_BYTES, Self::MAX_NAME)?)?;
        let quality = if domain == WITH_METRICS {
            metrics(&mut reader)?
        } else {
            BTreeMap::new()
        };
        let content = reader.take(reader.remaining())?.to_owned();
        Ok(Self {
            content_type,
            name,
            quality,
            content,
        })
    }
}

fn write_front(
    writer: &mut Writer,
    (content_type, name): (&str, &str),
    quality: &BTreeMap<String, f64>,
) {
    let domain = if quality.is_empty() {
        DOMAIN
    } else {
        WITH_METRICS
    };
    let texts = [domain, content_type.as_bytes(), name.as_bytes()];
    for text in texts {
        writer.bytes(text);
    }
    if quality.is_empty() {
        return;
    }
    writer.uvarint(quality.len() as u64);
    for (name, value) in quality {
        writer.bytes(name.as_bytes()).u64(value.to_bits());
    }
}

fn metrics(reader: &mut Reader<'_>) -> Result<BTreeMap<String, f64>, ParcelError> {
    let count = reader.uvarint()?;
    LimitError::check(METRICS, count, Parcel::MAX_METRICS as u64)?;
    let mut metrics: BTreeMap<String, f64> = BTreeMap::new();
    for _ in 0..count {
        let name = text(
            "a metric's name",
            reader.bytes(METRIC_BYTES, Parcel::MAX_TYPE)?,
        )?;
        let value = f64::from_bits(reader.u64()?);
        let is_next = metrics
            .last_key_value()
            .is_none_or(|(last, _)| *last < name);
        if !is_next || !value.is_finite() {
            return Err(ParcelError::Metric { name, value });
        }
        metrics.insert(name, value);
    }
    Ok(metrics)
}

fn text(what: &'static str, bytes: &[u8]) -> Result<String, ParcelError> {
    let text = core::str::from_utf8(bytes).map_err(|_| ParcelError::Text {
        what,
        got: format!("{}", bytes.escape_ascii()),
    })?;
    Ok(text.to_owned())
}

const DOMAIN: &[u8] = b"chorus/parcel/1";
/// As long as [`DOMAIN`].
const WITH_METRICS: &[u8] = b"chorus/parcel/2";
const TYPE_BYTES: &str = "parcel type bytes";
const NAME_BYTES: &str = "parcel name bytes";
const METRIC_BYTES: &str = "bytes of a parcel metric's name";
const METRICS: &str = "parcel metrics";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn parcel(content_type: &str, name: &str, content: &[u8]) -> Parcel {
        Parcel {
            content_type: content_type.into(),
            name: name.into(),
            quality: BTreeMap::new(),
            content: content.into(),
        }
    }

    #[test]
    fn the_form_of_a_parcel_stays_as_it_is() {
        let bytes = parcel("file", "a.txt", b"hello").to_bytes().unwrap();
        assert_eq!(bytes, b"\x0fchorus/parcel/1\x04file\x05a.txthello");
    }

    #[test]
    fn the_form_of_a_parcel_with_metrics_stays_as_it_is() {
        let mut parcel = parcel("file", "a.txt", b"hello");
        parcel.quality = [("delta", 1e-5), ("epsilon", 2.0)]
            .map(|(name, value)| (name.into(), value))
            .into();
        let bytes = parcel.to_bytes().unwrap();
        let expected =
            b"\x0fchorus/parcel/2\x04file\x05a.txt\x02\x05delta\x3e\xe4\xf8\xb5\x88\xe3\x68\xf1\
            \x07epsilon\x40\0\0\0\0\0\0\0hello";
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!(Parcel::from_bytes(&bytes), Ok(parcel.clone()));
        let front = Parcel::front_len("file", "a.txt", &parcel.quality);
        assert_eq!(front + 5, bytes.len());
        assert!(Parcel::from_bytes(&bytes[..front - 1]).is_err());
    }

    #[test]
    fn metrics_out_of_bounds_are_refused_by_both_sides() {
        let with = |metrics: &[(&str, f64)]| {
            let metrics = metrics.iter().map(|(name, value)| ((*name).into(), *value));
            let mut parcel = parcel("file", "", b"");
            parcel.quality = metrics.collect();
            parcel.to_bytes().map_err(|error| error.to_string())
        };
        assert!(
            with(&[("epsilon", f64::NAN)])
                .unwrap_err()
                .contains("finite")
        );
        assert!(
            with(&[(&"n".repeat(65), 1.0)])
                .unwrap_err()
                .contains("at most 64")
        );
        let names: Vec<_> = (0..33).map(|n| format!("m{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (&**name, 1.0)).collect();
        assert!(with(&many).unwrap_err().contains("at most 32"));
        assert!(with(&many[..32]).is_ok());

        let read = |metrics: &[(&[u8], f64)]| {
            let mut writer = Writer::new();
            writer.bytes(WITH_METRICS).bytes(b"file").bytes(b"");
            writer.uvarint(metrics.len() as u64);
            for (name, value) in metrics {
                writer.bytes(name).u64(value.to_bits());
            }
            Parcel::from_bytes(&writer.into_bytes()).map_err(|error| error.to_string())
        };
        assert!(read(&[(b"a", 1.0), (b"b", 2.0)]).is_ok());
        for (wrong, why) in [
            (&[(&b"b"[..], 1.0), (b"a", 2.0)][..], "after the one before"),
            (&[(b"a", 1.0), (b"a", 1.0)], "after the one before"),
            (&[(b"a", f64::INFINITY)], "finite"),
            (&[(b"\xff", 1.0)], "UTF-8"),
            (&[(&b""[..], 1.0); 33], "at most 32"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn long_names_and_types_are_refused_with_the_bound_by_both_sides() {
        let long = "n".repeat(256);
        let error = parcel("file", &long, b"").to_bytes().unwrap_err();
        assert_eq!(
            error.to_string(),
            "parcel name bytes must be at most 255, got 256"
        );
        parcel(&long[..65], "", b"").to_bytes().unwrap_err();
        let mut writer = Writer::new();
        writer.bytes(DOMAIN).bytes(b"file").bytes(long.as_bytes());
        assert!(matches!(
            Parcel::from_bytes(&writer.into_bytes()),
            Err(ParcelError::Wire(WireError::Limit(_)))
        ));
    }

    #[test]
    fn what_is_no_parcel_is_refused_and_says_why() {
        for (bytes, why) in [
            (&b""[..], "input ends"),
            (b"\x0fchorus/parcel/3\x00\x00", "chorus/parcel/3"),
            (b"\x0fchorus/parcel/2\x00\x00", "input ends"),
            (b"\x0fchorus/parcel/1\x04fil", "input ends"),
            (b"\x0fchorus/parcel/1\x01\xff\x00", "UTF-8"),
            (b"%PDF-1.7", "at most 15"),
        ] {
            let error = Parcel::from_bytes(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_parcel_comes_back_as_it_was(
            content_type in "[a-z]{1,64}",
            name in "\\PC{0,63}",
            quality in proptest::collection::btree_map("[a-z._]{1,64}", -1e300..1e300f64, 0..4),
            content in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut parcel = parcel(&content_type, &name, &content);
            parcel.quality = quality;
            let bytes = parcel.to_bytes().unwrap();
            prop_assert_eq!(Parcel::from_bytes(&bytes), Ok(parcel));
            for end in 0..bytes.len() - content.len() {
                prop_assert!(Parcel::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn bytes_of_a_stranger_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Parcel::from_bytes(&bytes);
            for domain in [DOMAIN, WITH_METRICS] {
                let after_domain = [b"\x0f", domain, &bytes].concat();
                let _ = Parcel::from_bytes(&after_domain);
            }
        }
    }
}
