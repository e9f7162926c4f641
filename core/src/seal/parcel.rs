//! What is sealed when a file is addressed: its type and name travel inside, where only the recipients read them.
//!
//! # Form
//! Varint length and bytes of `chorus/parcel/1`, the same of the type, the same of the name, then the content to the
//! end.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bounds::LimitError;
use crate::wire::{Reader, WireError, Writer};

/// Content with its type and name, as the sender wrote them: a name is not fit to be a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What kind of content this is, such as a packet's type: at most [`Parcel::MAX_TYPE`] bytes.
    pub content_type: String,
    /// What the content is called, such as a file's name: at most [`Parcel::MAX_NAME`] bytes; may be empty.
    pub name: String,
    /// The content.
    pub content: Vec<u8>,
}

/// Why sealed content is no parcel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// The type or name is longer than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It ends too early or has a bad length in it.
    #[error("parcel: {0}")]
    Wire(#[from] WireError),
    /// The first bytes are not those of a parcel of this version.
    #[error("parcel must begin with `chorus/parcel/1`, got {got}")]
    Format {
        /// The first bytes.
        got: String,
    },
    /// The type or name is not UTF-8.
    #[error("{what} of a parcel must be UTF-8, got {got}")]
    Text {
        /// Which of the two.
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

    /// Returns the form that is sealed. O(n).
    ///
    /// # Errors
    /// [`ParcelError::Limit`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ParcelError> {
        LimitError::check_len(TYPE_BYTES, self.content_type.len(), Self::MAX_TYPE)?;
        LimitError::check_len(NAME_BYTES, self.name.len(), Self::MAX_NAME)?;
        let front = DOMAIN.len() + Self::MAX_TYPE + Self::MAX_NAME + 8;
        let mut writer = Writer::with_capacity(front + self.content.len());
        writer
            .bytes(DOMAIN)
            .bytes(self.content_type.as_bytes())
            .bytes(self.name.as_bytes())
            .put(&self.content);
        Ok(writer.into_bytes())
    }

    /// Reads what was sealed. O(n).
    ///
    /// # Errors
    /// [`ParcelError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParcelError> {
        let mut reader = Reader::new(bytes);
        let domain = reader.bytes("parcel domain bytes", DOMAIN.len())?;
        if domain != DOMAIN {
            return Err(ParcelError::Format {
                got: format!("{}", domain.escape_ascii()),
            });
        }
        let content_type = text("type", reader.bytes(TYPE_BYTES, Self::MAX_TYPE)?)?;
        let name = text("name", reader.bytes(NAME_BYTES, Self::MAX_NAME)?)?;
        let content = reader.take(reader.remaining())?.to_owned();
        Ok(Self {
            content_type,
            name,
            content,
        })
    }
}

fn text(what: &'static str, bytes: &[u8]) -> Result<String, ParcelError> {
    let text = core::str::from_utf8(bytes).map_err(|_| ParcelError::Text {
        what,
        got: format!("{}", bytes.escape_ascii()),
    })?;
    Ok(text.to_owned())
}

const DOMAIN: &[u8] = b"chorus/parcel/1";
const TYPE_BYTES: &str = "parcel type bytes";
const NAME_BYTES: &str = "parcel name bytes";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn parcel(content_type: &str, name: &str, content: &[u8]) -> Parcel {
        Parcel {
            content_type: content_type.into(),
            name: name.into(),
            content: content.into(),
        }
    }

    #[test]
    fn the_form_of_a_parcel_stays_as_it_is() {
        let bytes = parcel("file", "a.txt", b"hello").to_bytes().unwrap();
        assert_eq!(bytes, b"\x0fchorus/parcel/1\x04file\x05a.txthello");
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
            (b"\x0fchorus/parcel/2\x00\x00", "chorus/parcel/2"),
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
            content in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let parcel = parcel(&content_type, &name, &content);
            let bytes = parcel.to_bytes().unwrap();
            prop_assert_eq!(Parcel::from_bytes(&bytes), Ok(parcel));
            for end in 0..bytes.len() - content.len() {
                prop_assert!(Parcel::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn bytes_of_a_stranger_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Parcel::from_bytes(&bytes);
            let mut after_domain = b"\x0fchorus/parcel/1".to_vec();
            after_domain.extend(bytes);
            let _ = Parcel::from_bytes(&after_domain);
        }
    }
}
