//! Bounded reading and writing of bytes. The reader borrows: nothing is allocated for what has not arrived.
//!
//! Integers are big-endian. Lengths are unsigned varints in minimal form, at most nine bytes
//! (multiformats `unsigned-varint`).

use alloc::vec::Vec;

use crate::bounds::LimitError;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The input ends before the value does.
    #[error("input ends at byte {position}: {needed} more needed, {left} left")]
    Truncated {
        /// Offset of the value in the input.
        position: usize,
        /// Bytes the value needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Bytes follow the last value.
    #[error("{left} bytes left over at byte {position}")]
    Trailing {
        /// Offset of the first byte left over.
        position: usize,
        /// How many there are.
        left: usize,
    },
    /// A varint has needless zero bytes, or more than 63 bits.
    #[error("varint at byte {position} is not in minimal form or is over 63 bits")]
    Varint {
        /// Offset of the varint in the input.
        position: usize,
    },
    /// A length or count is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// Reads values from the front of a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the offset of the next byte.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Returns how many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let Some((head, tail)) = self.bytes.split_at_checked(count) else {
            return Err(WireError::Truncated {
                position: self.position,
                needed: count,
                left: self.bytes.len(),
            });
        };
        self.bytes = tail;
        self.position += count;
        Ok(head)
    }

    /// Reads exactly `N` bytes into an array.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Reads two bytes, big-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Reads four bytes, big-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads eight bytes, big-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Reads an unsigned varint of at most 63 bits, in minimal form.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Varint`].
    pub fn uvarint(&mut self) -> Result<u64, WireError> {
        let position = self.position;
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || shift == 0;
                return if minimal {
                    Ok(value)
                } else {
                    Err(WireError::Varint { position })
                };
            }
        }
        Err(WireError::Varint { position })
    }

    /// Reads a varint length of at most `max` and that many bytes. `what` names them in the error.
    ///
    /// # Errors
    /// [`WireError::Limit`], and those of [`Reader::uvarint`] and [`Reader::take`].
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], WireError> {
        let len = self.uvarint()?;
        LimitError::check(what, len, max as u64)?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`WireError::Trailing`].
    pub const fn finish(&self) -> Result<(), WireError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(WireError::Trailing {
            position: self.position,
            left: self.bytes.len(),
        })
    }
}

/// Appends values to a byte vector. The counterpart of [`Reader`].
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts empty.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Starts empty with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Writes `bytes` as they are.
    pub fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.put(&[value])
    }

    /// Writes two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes an unsigned varint in minimal form. Values past 2⁶³ − 1 are written as it: no length here comes near.
    pub fn uvarint(&mut self, value: u64) -> &mut Self {
        let mut rest = value.min(u64::MAX >> 1);
        while rest >= 0x80 {
            self.bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest.to_le_bytes()[0]);
        self
    }

    /// Writes the length of `bytes` as a varint, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.uvarint(bytes.len() as u64).put(bytes)
    }

    /// Returns how many bytes were written.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns what was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: u64) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.uvarint(value);
        writer.into_bytes()
    }

    /// Vectors: multiformats `unsigned-varint`, README, "Format".
    #[test]
    fn varints_follow_the_multiformats_vectors() {
        for (value, bytes) in [
            (1, &[0x01][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (255, &[0xff, 0x01]),
            (300, &[0xac, 0x02]),
            (16384, &[0x80, 0x80, 0x01]),
            (
                u64::MAX >> 1,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            ),
        ] {
            assert_eq!(written(value), bytes);
            assert_eq!(Reader::new(bytes).uvarint(), Ok(value));
        }
    }

    #[test]
    fn a_varint_that_is_longer_than_needed_is_refused() {
        for bytes in [&[0x81, 0x00][..], &[0x80, 0x00], &[0xff; 9], &[0x80; 20]] {
            assert_eq!(
                Reader::new(bytes).uvarint(),
                Err(WireError::Varint { position: 0 })
            );
        }
        assert_eq!(Reader::new(&[0]).uvarint(), Ok(0));
    }

    #[test]
    fn a_length_past_its_bound_is_refused_before_the_bytes_are_looked_at() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0x7f]);
        let limit = LimitError {
            what: "name bytes",
            got: 0x0fff_ffff,
            max: 64,
        };
        assert_eq!(reader.bytes("name bytes", 64), Err(WireError::Limit(limit)));
    }

    #[test]
    fn a_truncated_input_names_the_place() {
        let mut reader = Reader::new(&[3, 1, 2]);
        let error = WireError::Truncated {
            position: 1,
            needed: 3,
            left: 2,
        };
        assert_eq!(reader.bytes("name bytes", 64), Err(error));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::with_capacity(32);
        writer.u8(1).u16(2).u32(3).u64(4).bytes(b"five").put(b"6");
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u32(), reader.u64()),
            (Ok(1), Ok(2), Ok(3), Ok(4))
        );
        assert_eq!(reader.bytes("text", 4), Ok(&b"five"[..]));
        assert_eq!(
            reader.finish(),
            Err(WireError::Trailing {
                position: 20,
                left: 1
            })
        );
        assert_eq!((reader.take(1), reader.finish()), (Ok(&b"6"[..]), Ok(())));
    }
}
