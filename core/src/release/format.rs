//! What content is, taken apart for the stages and put together again.

mod jpeg;
pub(super) mod json;
mod png;
mod safetensors;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use self::safetensors::Tensors;
use super::error::ReleaseError;
use super::reader::{Reader, Slot};
use crate::privacy::{Draft, Embedded, Limits, Names, Parts};

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
    /// Returns what `content` says that it is. O(n) for JSON.
    pub fn of(content: &[u8]) -> Self {
        // The length that safetensors begin with is mostly zeros, which are UTF-8 too.
        if safetensors::is_safetensors(content) {
            Self::Safetensors
        } else if png::is_png(content) {
            Self::Png
        } else if jpeg::is_jpeg(content) {
            Self::Jpeg
        } else {
            match core::str::from_utf8(content) {
                Ok(text) if json::is_json(text) => Self::Json,
                Ok(_) => Self::Text,
                Err(_) => Self::Opaque,
            }
        }
    }

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
    body: Body,
    /// Entries that were dropped and are not in the draft: past [`MAX_EMBEDDED`].
    pub(super) dropped_more: u64,
}

/// What is not in the draft.
enum Body {
    /// Nothing: the content is the draft's text in [`Slot::Content`].
    Text,
    /// The content.
    Bytes(Vec<u8>),
    /// Tensors, of which the names are in the draft, or with the numbers where they get noise.
    Tensors(Tensors, bool),
}

/// The content as it leaves.
pub(super) enum Content {
    /// The text in [`Slot::Content`].
    Text,
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Apart {
    /// Takes `content`, which is of `format`, and gives what the stages read of it to `draft`.
    ///
    /// # Errors
    /// [`ReleaseError::Safetensors`], [`ReleaseError::NotF32`], [`ReleaseError::NoTensors`], [`ReleaseError::Limit`].
    pub(super) fn take(
        (content, format): (Vec<u8>, Format),
        draft: &mut Draft,
        (limits, is_noise_wished): (&Limits, bool),
    ) -> Result<Self, ReleaseError> {
        let mut apart = Self {
            format,
            notes: Vec::new(),
            body: Body::Text,
            dropped_more: 0,
        };
        if is_noise_wished && apart.format != Format::Safetensors {
            let format = apart.format.name();
            return Err(ReleaseError::NoTensors { format });
        }
        match apart.format {
            Format::Text | Format::Json => {
                // It was looked at: it is UTF-8.
                let text = String::from_utf8(content).unwrap_or_default();
                draft.texts.insert(Slot::Content.key(), text);
            }
            Format::Opaque => apart.body = Body::Bytes(content),
            Format::Png => {
                let picture = png::read(&content);
                apart.take_picture(picture, content, draft);
            }
            Format::Jpeg => {
                let picture = jpeg::read(&content);
                apart.take_picture(picture, content, draft);
            }
            Format::Safetensors => {
                let tensors = Tensors::read(content, limits.max_entries.min(MAX_TENSORS))?;
                draft.embedded.extend(tensors.embedded());
                if is_noise_wished {
                    draft.tensors = tensors.numbers()?;
                } else {
                    for (place, info) in (0u16..).zip(&tensors.infos) {
                        let slot = Slot::Tensor(place);
                        draft.texts.insert(slot.key(), info.name.clone());
                    }
                    let note =
                        "the tensors leave without noise: what they learned may be read from them";
                    apart.notes.push(note.into());
                }
                apart.body = Body::Tensors(tensors, is_noise_wished);
            }
        }
        Ok(apart)
    }

    fn take_picture(&mut self, picture: Option<Picture>, content: Vec<u8>, draft: &mut Draft) {
        let Some(picture) = picture else {
            let format = self.format.name();
            self.notes.push(format!(
                "the content begins as {format} and goes on differently: it was not searched"
            ));
            self.format = Format::Opaque;
            self.body = Body::Bytes(content);
            return;
        };
        let note = "what the picture shows was not searched";
        self.notes.push(note.into());
        self.dropped_more = picture.more;
        draft.embedded.extend(picture.entries);
        self.body = Body::Bytes(picture.left);
    }

    /// Takes `content` to leave as it is; what `reader` finds in it is noted.
    ///
    /// # Errors
    /// [`ReleaseError::Refused`].
    pub(super) fn keep(
        (content, format): (Vec<u8>, Format),
        reader: &mut Reader<'_>,
    ) -> Result<Self, ReleaseError> {
        let mut notes = Vec::new();
        let content = match format {
            Format::Text | Format::Json => {
                reader.inspect(core::str::from_utf8(&content).unwrap_or_default())?;
                content
            }
            Format::Safetensors => match Tensors::read(content.clone(), usize::MAX) {
                Ok(tensors) => {
                    reader.inspect(tensors.header())?;
                    tensors.into_content()
                }
                Err(_) => content,
            },
            Format::Png | Format::Jpeg | Format::Opaque => content,
        };
        if !matches!(format, Format::Text | Format::Json) {
            notes.push("what is embedded in the content stays".into());
        }
        Ok(Self {
            format,
            notes,
            body: Body::Bytes(content),
            dropped_more: 0,
        })
    }

    /// Whether what can be read of it was searched.
    pub(super) const fn is_searched(&self) -> bool {
        !matches!(self.format, Format::Opaque)
    }

    /// Puts the content together as it leaves.
    pub(super) fn finish(self, parts: &Parts) -> Content {
        match self.body {
            Body::Text => Content::Text,
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Tensors(tensors, is_noised) => {
                let mut apart = Names::default();
                apart.take(safetensors::METADATA);
                let name = |place: usize| {
                    if is_noised {
                        return parts.tensors.get(place).map(|tensor| &tensor.name);
                    }
                    let slot = Slot::Tensor(u16::try_from(place).unwrap_or(u16::MAX));
                    parts.texts.get(&slot.key())
                };
                let names: Vec<_> = (0..tensors.infos.len())
                    .map(|place| apart.take(name(place).map_or("", String::as_str)))
                    .collect();
                let noised = is_noised.then_some(parts.tensors.as_slice());
                Content::Bytes(tensors.write(&names, &parts.embedded, noised))
            }
        }
    }
}

impl Content {
    /// Returns the content as it leaves.
    pub(super) fn bytes<'a>(&'a self, parts: &'a Parts) -> &'a [u8] {
        match self {
            Self::Text => parts
                .texts
                .get(&Slot::Content.key())
                .map_or(&[], |text| text.as_bytes()),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Hands out the content as it leaves.
    pub(super) fn into_bytes(self, parts: &mut Parts) -> Vec<u8> {
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

/// An image without what describes it.
struct Picture {
    block: &'static str,
    left: Vec<u8>,
    entries: Vec<Embedded>,
    more: u64,
}

impl Picture {
    fn new(block: &'static str, bytes: usize) -> Self {
        Self {
            block,
            left: Vec::with_capacity(bytes),
            entries: Vec::new(),
            more: 0,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.left.extend_from_slice(bytes);
    }

    /// Notes an entry that does not leave.
    fn drop_entry(&mut self, key: String) {
        if self.entries.len() >= MAX_EMBEDDED {
            self.more += 1;
            return;
        }
        self.entries.push(Embedded {
            block: self.block.into(),
            key,
            text: None,
        });
    }

    /// Notes what stands after the image's end, which does not leave either.
    fn finish(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.drop_entry("bytes after the end".into());
        }
    }
}

/// Entries of an image that the stages are told of; more are counted. Guess: cameras write a dozen.
const MAX_EMBEDDED: usize = 256;
/// Tensors that slots tell apart.
const MAX_TENSORS: usize = Slot::MAX_NUMBER;
