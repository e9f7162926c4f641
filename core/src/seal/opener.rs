//! Opening, at once or piece by piece.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroize as _;

use super::error::SealError;
use super::header::{self, MAX_HEADER, START};
use super::key::SealSecret;
use super::stream::{SEALED_CHUNK, Stream, Units};
use super::{Context, MAX_SECRETS, TAG};
use crate::bounds::LimitError;
use crate::wire::WireError;

/// Opens a whole `envelope` with whichever of `secrets` (at most [`MAX_SECRETS`]) fits.
///
/// Costs a key agreement per slot and secret until one fits, then O(n). Returns all of the content or none.
///
/// # Errors
/// [`SealError`]: not an envelope, not for these secrets in this context, or changed, cut or added to.
pub fn open<'a>(
    envelope: &[u8],
    secrets: impl IntoIterator<Item = &'a SealSecret>,
    context: &Context<'_>,
) -> Result<Vec<u8>, SealError> {
    let mut opener = Opener::new(secrets, context)?;
    let mut content = Vec::with_capacity(envelope.len());
    let opened = opener.update(envelope, &mut content);
    match opened.and_then(|()| opener.finish(&mut content)) {
        Ok(()) => Ok(content),
        Err(error) => {
            content.zeroize();
            Err(error)
        }
    }
}

/// Opens an envelope that arrives in pieces. Holds at most one header and one chunk.
///
/// What it appends is genuine and in order, but whether the envelope goes on to its end is known only when
/// [`Opener::finish`] returns `Ok`: act on no part of the content before.
pub struct Opener {
    secrets: Vec<SealSecret>,
    info: Vec<u8>,
    header: Vec<u8>,
    stream: Option<Stream>,
    units: Units,
    /// The first error; nothing opens after it.
    failure: Option<SealError>,
}

impl Opener {
    /// Starts an envelope that one of `secrets` (at most [`MAX_SECRETS`]) should open in `context`.
    ///
    /// # Errors
    /// [`SealError::Limit`]: too many secrets, too long a context.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = &'a SealSecret>,
        context: &Context<'_>,
    ) -> Result<Self, SealError> {
        let secrets: Vec<_> = secrets.into_iter().take(MAX_SECRETS + 1).cloned().collect();
        LimitError::check_len("sealing secrets", secrets.len(), MAX_SECRETS)?;
        Ok(Self {
            secrets,
            info: context.info()?,
            header: Vec::new(),
            stream: None,
            units: Units::new(SEALED_CHUNK),
            failure: None,
        })
    }

    /// Takes the next piece of the envelope, of any length, and appends the content of whole chunks to `out`.
    ///
    /// # Errors
    /// [`SealError`] at the first thing that is wrong, and the same one ever after.
    pub fn update(&mut self, envelope: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.advance(envelope, out)
            .inspect_err(|error| self.failure = Some(error.clone()))
    }

    /// Opens the last chunk and appends its content to `out`. `Ok` says that the envelope is whole.
    ///
    /// # Errors
    /// [`SealError`]: what [`Opener::update`] found, or the envelope ends too early.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), SealError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let Some(stream) = &mut self.stream else {
            let len = self.header.len();
            return Err(WireError::Truncated {
                position: len,
                needed: header_needed(&self.header)?.saturating_sub(len),
                left: 0,
            }
            .into());
        };
        let (last, chunk) = (self.units.last(), stream.chunk);
        if last.len() < TAG {
            return Err(SealError::Cut { chunk });
        }
        // The one form of an envelope has an empty chunk only where there is no content.
        if last.len() == TAG && chunk > 0 {
            return Err(SealError::Chunk { chunk });
        }
        append(stream, last, true, out)
    }

    fn advance(&mut self, mut envelope: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        while self.stream.is_none() {
            let missing = header_needed(&self.header)?.saturating_sub(self.header.len());
            let (head, tail) = envelope.split_at(missing.min(envelope.len()));
            self.header.extend_from_slice(head);
            envelope = tail;
            if head.len() < missing {
                return Ok(());
            }
            if header_needed(&self.header)? == self.header.len() {
                self.stream = Some(header::open(&self.header, &self.secrets, &self.info)?);
                self.secrets.clear();
            }
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        self.units
            .feed(envelope, |chunk| append(stream, chunk, false, out))
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opener").field(&self.stream).finish()
    }
}

/// Returns how long the header is as far as `header`, its first bytes, tells.
fn header_needed(header: &[u8]) -> Result<usize, SealError> {
    let needed = match header.first_chunk::<START>() {
        Some(start) => header::read_len(start)?,
        None => START,
    };
    Ok(needed.min(MAX_HEADER))
}

fn append(
    stream: &mut Stream,
    sealed: &[u8],
    is_last: bool,
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let start = out.len();
    out.resize(start + sealed.len().saturating_sub(TAG), 0);
    let content = out.get_mut(start..).unwrap_or_default();
    let opened = stream.open(sealed, is_last, content);
    if opened.is_err() {
        out.truncate(start);
    }
    opened
}
