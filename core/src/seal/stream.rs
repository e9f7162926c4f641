//! The chunks of an envelope: STREAM over ChaCha20-Poly1305 (RFC 8439), and how bytes are gathered into chunks.

use alloc::vec::Vec;
use core::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use zeroize::Zeroizing;

use super::error::SealError;
use super::{CHUNK, TAG};
use crate::bounds::LimitError;

/// Where the stream stands: the key, and the number of the next chunk.
pub(super) struct Stream {
    cipher: ChaCha20Poly1305,
    prefix: [u8; PREFIX],
    pub(super) chunk: u64,
}

impl Stream {
    /// Bytes of key and nonce prefix together.
    pub(super) const KEY: usize = 32 + PREFIX;

    /// Starts at the first chunk.
    pub(super) fn new(key: &[u8; Self::KEY]) -> Self {
        let (mut cipher_key, mut prefix) = (Zeroizing::new([0; 32]), [0; PREFIX]);
        cipher_key.copy_from_slice(&key[..32]);
        prefix.copy_from_slice(&key[32..]);
        Self {
            cipher: ChaCha20Poly1305::new((&*cipher_key).into()),
            prefix,
            chunk: 0,
        }
    }

    /// Seals `content`, at most [`CHUNK`] bytes, as the next chunk into `sealed`, which is [`TAG`] bytes longer.
    ///
    /// # Errors
    /// [`SealError::Limit`] past 2³² chunks.
    pub(super) fn seal(
        &mut self,
        content: &[u8],
        is_last: bool,
        sealed: &mut [u8],
    ) -> Result<(), SealError> {
        let nonce = self.nonce(is_last)?;
        let chunk = self.chunk;
        let refused = || SealError::Chunk { chunk };
        let (sealed, tag) = sealed
            .split_at_mut_checked(content.len())
            .ok_or_else(refused)?;
        let tag = <&mut [u8; TAG]>::try_from(tag).map_err(|_| refused())?;
        let buffer = InOutBuf::new(content, sealed).map_err(|_| refused())?;
        *tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &[], buffer)
            .map_err(|_| refused())?
            .into();
        self.chunk += 1;
        Ok(())
    }

    /// Opens `sealed` as the next chunk into `content`, which is [`TAG`] bytes shorter. Where it does not open, nothing
    /// is written.
    ///
    /// # Errors
    /// [`SealError::Chunk`], or [`SealError::Cut`] and [`SealError::Trailing`] where it opens with the other flag.
    pub(super) fn open(
        &mut self,
        sealed: &[u8],
        is_last: bool,
        content: &mut [u8],
    ) -> Result<(), SealError> {
        let chunk = self.chunk;
        if self.try_open(sealed, is_last, content)? {
            self.chunk += 1;
            return Ok(());
        }
        let mut scratch = Zeroizing::new(alloc::vec![0; content.len()]);
        let opens_otherwise = self.try_open(sealed, !is_last, &mut scratch)?;
        Err(match (opens_otherwise, is_last) {
            (true, true) => SealError::Cut { chunk },
            (true, false) => SealError::Trailing { chunk },
            (false, _) => SealError::Chunk { chunk },
        })
    }

    fn try_open(
        &self,
        sealed: &[u8],
        is_last: bool,
        content: &mut [u8],
    ) -> Result<bool, SealError> {
        let nonce = self.nonce(is_last)?;
        let Some((sealed, tag)) = sealed.split_last_chunk::<TAG>() else {
            return Ok(false);
        };
        let Ok(buffer) = InOutBuf::new(sealed, content) else {
            return Ok(false);
        };
        let opened = self
            .cipher
            .decrypt_inout_detached(&nonce, &[], buffer, tag.into());
        Ok(opened.is_ok())
    }

    fn nonce(&self, is_last: bool) -> Result<Nonce, LimitError> {
        let max = u32::MAX;
        LimitError::check("number of a chunk", self.chunk, max.into())?;
        let number = u32::try_from(self.chunk).unwrap_or(max).to_be_bytes();
        let mut nonce = Nonce::default();
        nonce[..PREFIX].copy_from_slice(&self.prefix);
        nonce[PREFIX..PREFIX + 4].copy_from_slice(&number);
        nonce[PREFIX + 4] = is_last.into();
        Ok(nonce)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream(at chunk {}, secret)", self.chunk)
    }
}

/// Cuts bytes that arrive in pieces into units of one length, of which all but the last are known to be followed by
/// something. Holds at most one unit, and copies none that arrives whole.
pub(super) struct Units {
    pending: Zeroizing<Vec<u8>>,
    len: usize,
}

impl Units {
    /// Starts empty, for units of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        // All the room at once: growing would leave copies of the content behind.
        Self {
            pending: Zeroizing::new(Vec::with_capacity(len)),
            len,
        }
    }

    /// Takes `bytes` and calls `handle` with every unit that something follows.
    pub(super) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut handle: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.pending.is_empty() {
            let missing = self.len - self.pending.len();
            let (head, tail) = bytes.split_at(missing.min(bytes.len()));
            self.pending.extend_from_slice(head);
            if tail.is_empty() {
                return Ok(());
            }
            handle(&self.pending)?;
            self.pending.clear();
            bytes = tail;
        }
        while bytes.len() > self.len {
            let (unit, rest) = bytes.split_at(self.len);
            handle(unit)?;
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns what is left: the last unit, at most `len` bytes.
    pub(super) fn last(&self) -> &[u8] {
        &self.pending
    }
}

/// Bytes of a whole sealed chunk.
pub(super) const SEALED_CHUNK: usize = CHUNK + TAG;
/// Bytes of the nonce that are the same for all chunks: 12 less the number and the flag.
const PREFIX: usize = 7;
