//! What content is, taken apart for the stages and put together again.

pub(super) mod json;

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::error::ReleaseError;
use super::reader::{Reader, Slot};
use crate::privacy::{Draft, Parts};

/// What content is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// UTF-8.
    Text,
    /// JSON: its keys say what its values are.
    Json,
    /// Tensors in safetensors.
    Safetensors,
    /// An image in PNG.
    Png,
    /// An image in JPEG.
    Jpeg,
    /// Anything else: not searched.
    Opaque,
}

impl Format {
    /// Returns the name, such as `safetensors`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Safetensors => "safetensors",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Opaque => "opaque",
        }
    }
}

/// Content, taken apart.
pub(super) struct Apart {
    pub(super) format: Format,
    pub(super) notes: Vec<String>,
    pub(super) body: Body,
}

/// What is not in the draft.
pub(super) enum Body {
    /// Nothing: the content is the draft's text in [`Slot::Content`].
    Text,
    /// The content.
    Bytes(Vec<u8>),
}

impl Apart {
    /// Finds out what `content` is, and gives what the stages read to `draft`.
    pub(super) fn take(content: Vec<u8>, draft: &mut Draft) -> Self {
        let (format, body) = match String::from_utf8(content) {
            Ok(text) => {
                let format = if json::is_json(&text) {
                    Format::Json
                } else {
                    Format::Text
                };
                draft.texts.insert(Slot::Content.key(), text);
                (format, Body::Text)
            }
            Err(error) => (Format::Opaque, Body::Bytes(error.into_bytes())),
        };
        Self {
            format,
            notes: Vec::new(),
            body,
        }
    }

    /// Takes the content back from `draft`, to leave as it is; what `reader` finds in it is noted.
    ///
    /// # Errors
    /// [`ReleaseError::Refused`].
    pub(super) fn keep(
        &mut self,
        reader: &mut Reader<'_>,
        draft: &mut Draft,
    ) -> Result<(), ReleaseError> {
        if let Some(text) = draft.texts.remove(&Slot::Content.key()) {
            reader.inspect(&text)?;
            self.body = Body::Bytes(text.into_bytes());
        }
        Ok(())
    }

    /// Whether what can be read of it was searched.
    pub(super) const fn is_searched(&self) -> bool {
        !matches!(self.format, Format::Opaque)
    }
}

impl Body {
    /// Returns the content as it leaves.
    pub(super) fn content<'a>(&'a self, parts: &'a Parts) -> &'a [u8] {
        match self {
            Self::Text => parts
                .texts
                .get(&Slot::Content.key())
                .map_or(&[], |text| text.as_bytes()),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Hands out the content as it leaves.
    pub(super) fn into_content(self, parts: &mut Parts) -> Vec<u8> {
        match self {
            Self::Text => parts
                .texts
                .remove(&Slot::Content.key())
                .unwrap_or_default()
                .into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}
