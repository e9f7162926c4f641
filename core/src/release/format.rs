//! What content is, taken apart for the stages and put together again.

mod bytes;
mod jpeg;
pub(super) mod json;
mod png;
mod safetensors;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use self::bytes::Wide;
use self::safetensors::Tensors;
use super::error::ReleaseError;
use super::preview::Measured;
use super::reader::{Reader, Slot};
use crate::engram::outline::{Outline, begins};
use crate::packet::{Instructions, What};
use crate::privacy::{Draft, Embedded, Limits, Names, Parts, Side};

/// What content is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// UTF-8, UTF-16 or UTF-32.
    Text,
    /// JSON: its keys say what its values are.
    Json,
    /// Tensors in safetensors.
    Safetensors,
    /// Tensors in an engram: names and metadata are searched, and never changed.
    Engram,
    /// An image in PNG.
    Png,
    /// An image in JPEG.
    Jpeg,
    /// Anything else: searched as far as it reads as text, and never changed.
    Opaque,
}

impl Format {
    /// Returns what `content` says that it is. O(n) for JSON.
    pub fn of(content: &[u8]) -> Self {
        // The length that safetensors begin with is mostly zeros, which are UTF-8 too.
        if safetensors::is_safetensors(content) {
            Self::Safetensors
        } else if outline(content).is_some() {
            Self::Engram
        } else if png::is_png(content) {
            Self::Png
        } else if jpeg::is_jpeg(content) {
            Self::Jpeg
        } else {
            // Letters between zeros are UTF-8 too.
            let wide = Wide::read(content).map(|(_, text)| text);
            match wide.as_deref().map_or(core::str::from_utf8(content), Ok) {
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
            Self::Engram => "engram",
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
    /// Whether all that can be read of it was searched.
    pub(super) is_searched: bool,
    /// Entries that were dropped and are not in the draft: past [`MAX_EMBEDDED`].
    pub(super) dropped_more: u64,
}

/// What is not in the draft.
enum Body {
    /// Nothing: the content is the draft's text in [`Slot::Content`].
    Text,
    /// How the draft's text in [`Slot::Content`] is written.
    Wide(Wide),
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
    /// Takes `content`, which is of `format`, and gives what the stages read of it to `draft`; the bytes that the stages do
    /// not read, `reader` searches.
    ///
    /// # Errors
    /// [`ReleaseError::Safetensors`], [`ReleaseError::NotF32`], [`ReleaseError::NoTensors`], [`ReleaseError::Limit`],
    /// [`ReleaseError::Refused`], [`ReleaseError::Unclean`], [`ReleaseError::Picture`].
    pub(super) fn take(
        (content, format): (Vec<u8>, Format),
        (draft, reader): (&mut Draft, &mut Reader<'_>),
        (limits, is_noise_wished): (&Limits, bool),
    ) -> Result<Self, ReleaseError> {
        let mut apart = Self {
            format,
            notes: Vec::new(),
            body: Body::Text,
            is_searched: true,
            dropped_more: 0,
        };
        if is_noise_wished && apart.format != Format::Safetensors {
            let format = apart.format.name();
            return Err(ReleaseError::NoTensors { format });
        }
        match apart.format {
            Format::Text | Format::Json => {
                let text = if let Some((wide, text)) = Wide::read(&content) {
                    apart.notes.push("the text is in UTF-16 or UTF-32".into());
                    apart.body = Body::Wide(wide);
                    text
                } else {
                    // What a text hides between zeros.
                    reader.inspect_bytes(&bytes::wide_strings(&content))?;
                    reader.refuse_kept(format.name())?;
                    // It was looked at: it is UTF-8.
                    String::from_utf8(content).unwrap_or_default()
                };
                draft.texts.insert(Slot::Content.key(), text);
            }
            Format::Opaque => {
                if begins(&content) {
                    apart.notes.push(NO_ENGRAM.into());
                }
                apart.is_searched = inspect(&content, reader)?;
                let form = if apart.is_searched {
                    "text in another encoding than UTF-8"
                } else {
                    apart.notes.push(NOT_READ.into());
                    "of a format that is not read"
                };
                reader.refuse_kept(form)?;
                apart.body = Body::Bytes(content);
            }
            Format::Png => apart.take_picture((png::read(&content), &content), draft, reader)?,
            Format::Jpeg => apart.take_picture((jpeg::read(&content), &content), draft, reader)?,
            Format::Engram => {
                if let Some(engram) = outline(&content) {
                    apart.notes = inspect_engram(&engram, reader)?;
                }
                reader.refuse_kept(PACKED)?;
                apart.body = Body::Bytes(content);
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
                    reader.inspect_bytes(tensors.data())?;
                    reader.refuse_kept(format.name())?;
                    apart.notes.push(format!(
                        "the tensors leave without noise: {} numbers, from which what they learned may be read",
                        tensors.elements()
                    ));
                }
                apart.body = Body::Tensors(tensors, is_noise_wished);
            }
        }
        Ok(apart)
    }

    fn take_picture(
        &mut self,
        (picture, content): (Option<Picture>, &[u8]),
        draft: &mut Draft,
        reader: &mut Reader<'_>,
    ) -> Result<(), ReleaseError> {
        let format = self.format.name();
        let Some(picture) = picture else {
            // What the policy refuses is refused verbatim too.
            inspect(content, reader)?;
            return Err(ReleaseError::Picture { format });
        };
        reader.inspect_bytes(&picture.left)?;
        reader.refuse_kept(format)?;
        let note = "what the picture shows was not searched";
        self.notes.push(note.into());
        self.dropped_more = picture.more;
        draft.embedded.extend(picture.entries);
        self.body = Body::Bytes(picture.left);
        Ok(())
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
        let (content, is_searched) = match format {
            Format::Text | Format::Json => {
                if let Some((_, text)) = Wide::read(&content) {
                    reader.inspect(&text)?;
                } else {
                    reader.inspect_bytes(&bytes::wide_strings(&content))?;
                    reader.inspect(core::str::from_utf8(&content).unwrap_or_default())?;
                }
                (content, true)
            }
            Format::Safetensors => match Tensors::read(content.clone(), usize::MAX) {
                Ok(tensors) => {
                    reader.inspect(tensors.header())?;
                    reader.inspect_bytes(tensors.data())?;
                    (tensors.into_content(), true)
                }
                Err(_) => {
                    let is_searched = inspect(&content, reader)?;
                    (content, is_searched)
                }
            },
            Format::Engram => {
                if let Some(engram) = outline(&content) {
                    notes = inspect_engram(&engram, reader)?;
                }
                (content, true)
            }
            Format::Png | Format::Jpeg | Format::Opaque => {
                let is_searched = inspect(&content, reader)?;
                (content, is_searched)
            }
        };
        if !is_searched {
            notes.push(NOT_READ.into());
        }
        if !matches!(format, Format::Text | Format::Json) {
            notes.push("what is embedded in the content stays".into());
        }
        Ok(Self {
            format,
            notes,
            body: Body::Bytes(content),
            is_searched,
            dropped_more: 0,
        })
    }

    /// Checks tensors that leave without noise, and the one that `instructions` announce, against what leaves. Returns the
    /// checks with their figures; none for other content.
    ///
    /// # Errors
    /// [`ReleaseError::Number`], [`ReleaseError::Undeclared`], [`ReleaseError::Limit`].
    pub(super) fn check_unnoised(
        &self,
        parts: &Parts,
        instructions: &Instructions,
        limits: &Limits,
    ) -> Result<Vec<Measured>, ReleaseError> {
        let Body::Tensors(tensors, false) = &self.body else {
            return Ok(Vec::new());
        };
        if let What::Weights {
            tensor,
            dtype,
            shape,
        } = &instructions.what
        {
            let names = self.names(tensors, parts);
            if !tensors.has(&names, tensor, (dtype.name(), shape)) {
                return Err(ReleaseError::Undeclared);
            }
        }
        let largest = tensors.check(limits)?;
        let measured = |name, figure, bound| Measured {
            name,
            figure,
            bound,
            side: Side::AtMost,
            is_met: figure <= bound,
        };
        let (count, max) = (tensors.infos.len(), limits.max_entries.min(MAX_TENSORS));
        Ok(Vec::from([
            measured("tensors", count as f64, max as f64),
            measured("numbers not finite", 0.0, 0.0),
            measured("largest magnitude", largest, limits.max_magnitude.into()),
            measured("declared tensors not there", 0.0, 0.0),
        ]))
    }

    /// Returns the tensors' names as they leave.
    fn names(&self, tensors: &Tensors, parts: &Parts) -> Vec<String> {
        let is_noised = matches!(self.body, Body::Tensors(_, true));
        let mut apart = Names::default();
        apart.take(crate::engram::safetensors::METADATA);
        let name = |place: usize| {
            if is_noised {
                return parts.tensors.get(place).map(|tensor| &tensor.name);
            }
            let slot = Slot::Tensor(u16::try_from(place).unwrap_or(u16::MAX));
            parts.texts.get(&slot.key())
        };
        (0..tensors.infos.len())
            .map(|place| apart.take(name(place).map_or("", String::as_str)))
            .collect()
    }

    /// Puts the content together as it leaves.
    pub(super) fn finish(self, parts: &Parts) -> Content {
        let names = match &self.body {
            Body::Tensors(tensors, _) => self.names(tensors, parts),
            Body::Text | Body::Wide(_) | Body::Bytes(_) => Vec::new(),
        };
        match self.body {
            Body::Text => Content::Text,
            Body::Wide(wide) => {
                let text = parts.texts.get(&Slot::Content.key());
                Content::Bytes(wide.write(text.map_or("", String::as_str)))
            }
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Tensors(tensors, is_noised) => {
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

/// Searches `content`, which stays as it is. Returns whether it reads as text, so that all of it was searched.
///
/// # Errors
/// [`ReleaseError::Refused`].
fn inspect(content: &[u8], reader: &mut Reader<'_>) -> Result<bool, ReleaseError> {
    let text = bytes::text(content);
    match &text {
        Some(text) => reader.inspect(text)?,
        None => {
            reader.inspect_bytes(content)?;
            reader.inspect_bytes(&bytes::wide_strings(content))?;
        }
    }
    Ok(text.is_some())
}

fn outline(content: &[u8]) -> Option<Outline> {
    Outline::read(content, &crate::engram::Limits::default())
}

/// Searches what an engram says in words, which stays as it is. Returns what is to be known of the rest.
///
/// # Errors
/// [`ReleaseError::Refused`].
fn inspect_engram(engram: &Outline, reader: &mut Reader<'_>) -> Result<Vec<String>, ReleaseError> {
    for name in &engram.names {
        reader.inspect_entry(None, name)?;
    }
    for (key, text) in &engram.metadata {
        reader.inspect_entry(None, key)?;
        reader.inspect_entry(Some(key), text)?;
    }
    let mut notes = Vec::from([format!(
        "the tensors leave packed and without noise: {} numbers, which were not searched, and from which what they learned \
         may be read",
        engram.numbers
    )]);
    if !engram.metadata.is_empty() {
        let entries = engram.metadata.len();
        notes.push(format!("{entries} entries of metadata leave in the engram"));
    }
    Ok(notes)
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

/// What is to be known of content that only programs read.
const NOT_READ: &str = "the content is of a format that is not read: what stands in it as plain text was searched, what is \
                        packed or coded was not, and nothing can be taken out of it";
/// What is to be known of content that is searched as bytes because it is no engram, though it begins as one.
const NO_ENGRAM: &str = "the content begins as an engram, but its header is damaged, or it is longer or shorter than that says";
/// What an engram is, in the words of a refusal.
const PACKED: &str = "an engram, of a file that can be cleaned and packed again";
/// Entries of an image that the stages are told of; more are counted. Guess: cameras write a dozen.
const MAX_EMBEDDED: usize = 256;
/// Tensors that slots tell apart.
const MAX_TENSORS: usize = Slot::MAX_NUMBER;
