//! Sealing, at once or piece by piece.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;

use super::certificate::Recipient;
use super::error::SealError;
use super::header;
use super::stream::{Stream, Units};
use super::{CHUNK, Context, TAG};

/// Seals `content` to `recipients` (1 to [`super::MAX_RECIPIENTS`]; naming one twice changes nothing) in `context`.
///
/// Costs a key agreement per recipient, then O(n). `rng` must be secure.
///
/// # Errors
/// [`SealError::NoRecipient`], or [`SealError::Limit`]: too many recipients, too long a context, over 2⁴⁸ bytes.
pub fn seal(
    content: &[u8],
    recipients: &[Recipient],
    context: &Context<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let (header, mut stream) = header::write(recipients, &context.info()?, rng)?;
    let mut envelope = vec![0; header.len() + chunks_len(content.len())];
    let (front, mut room) = envelope.split_at_mut(header.len());
    front.copy_from_slice(&header);
    let mut rest = content;
    loop {
        let is_last = rest.len() <= CHUNK;
        let chunk = rest.split_off(..rest.len().min(CHUNK)).unwrap_or_default();
        let sealed = room.split_off_mut(..chunk.len() + TAG).unwrap_or_default();
        stream.seal(chunk, is_last, sealed)?;
        if is_last {
            return Ok(envelope);
        }
    }
}

/// Returns the length of the envelope of `content` bytes for `recipients` different recipients.
pub const fn sealed_len(content: usize, recipients: usize) -> usize {
    header::header_len(recipients.next_power_of_two()) + chunks_len(content)
}

/// Returns the bytes of all chunks of `content` bytes.
const fn chunks_len(content: usize) -> usize {
    let chunks = if content == 0 {
        1
    } else {
        content.div_ceil(CHUNK)
    };
    content + chunks * TAG
}

/// Seals content that arrives in pieces. Holds at most one chunk.
pub struct Sealer {
    stream: Stream,
    units: Units,
}

impl Sealer {
    /// Starts an envelope as [`seal`] does, and appends its header to `out`.
    ///
    /// # Errors
    /// Those of [`seal`].
    pub fn start(
        recipients: &[Recipient],
        context: &Context<'_>,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<Self, SealError> {
        let (header, stream) = header::write(recipients, &context.info()?, rng)?;
        out.extend_from_slice(&header);
        Ok(Self {
            stream,
            units: Units::new(CHUNK),
        })
    }

    /// Takes the next piece of the content, of any length, and appends the chunks that are whole to `out`.
    ///
    /// # Errors
    /// [`SealError::Limit`] past 2⁴⁸ bytes of content.
    pub fn update(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let stream = &mut self.stream;
        self.units
            .feed(content, |chunk| append(stream, chunk, false, out))
    }

    /// Appends the last chunk to `out`. Without it the envelope does not open.
    ///
    /// # Errors
    /// [`SealError::Limit`] past 2⁴⁸ bytes of content.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), SealError> {
        append(&mut self.stream, self.units.last(), true, out)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealer").field(&self.stream).finish()
    }
}

fn append(
    stream: &mut Stream,
    chunk: &[u8],
    is_last: bool,
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let start = out.len();
    out.resize(start + chunk.len() + TAG, 0);
    let sealed = out.get_mut(start..).unwrap_or_default();
    stream.seal(chunk, is_last, sealed)
}
