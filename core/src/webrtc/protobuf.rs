//! The little of protobuf's wire format that `/webrtc` needs (protobuf.dev, "Encoding"). Groups are refused.

use alloc::vec::Vec;

/// Bytes that are not the protobuf they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtobufError {
    /// A varint of more than ten bytes or more than 64 bits.
    #[error("varint longer than 64 bits")]
    VarintTooLong,
    /// A field reaches past the end of its message.
    #[error("field ends past the end of the message")]
    Truncated,
    /// A tag with field number zero, or with a number above 2^29 - 1.
    #[error("field number {number} is not between 1 and 536870911")]
    FieldNumber {
        /// The number that was read.
        number: u64,
    },
    /// A wire type other than varint, 64-bit, length-delimited and 32-bit.
    #[error("wire type {wire_type} is not supported")]
    WireType {
        /// The three low bits of the tag.
        wire_type: u8,
    },
    /// A known field that has another wire type than the schema says.
    #[error("field {number} has an unexpected wire type")]
    Mismatch {
        /// The field's number.
        number: u32,
    },
}

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A 32- or 64-bit number: skipped by every reader here.
    Fixed,
}

/// Appends `value` as a varint of 1 to 10 bytes.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Length in bytes of `value` as a varint.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads a varint; returns it with its length, or `None` while it is incomplete.
pub(crate) fn get_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, ProtobufError> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate() {
        if index == 9 && *byte > 1 {
            return Err(ProtobufError::VarintTooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    Ok(None)
}

pub(crate) fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Iterates over a message's fields, stopping after the first error.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let (value, len) = get_varint(self.rest)?.ok_or(ProtobufError::Truncated)?;
        self.rest = &self.rest[len..];
        Ok(value)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], ProtobufError> {
        let len = usize::try_from(len).map_err(|_| ProtobufError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), ProtobufError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(ProtobufError::FieldNumber { number });
        }
        let value = match tag as u8 & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            wire_type => return Err(ProtobufError::WireType { wire_type }),
        };
        Ok((number as u32, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_every_length() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value));
                assert_eq!(get_varint(&out), Ok(Some((value, out.len()))));
                assert_eq!(get_varint(&out[..out.len() - 1]), Ok(None));
            }
        }
    }

    #[test]
    fn a_varint_above_64_bits_is_refused() {
        assert_eq!(get_varint(&[0xff; 10]), Err(ProtobufError::VarintTooLong));
        assert_eq!(get_varint(&[0x80; 11]), Err(ProtobufError::VarintTooLong));
    }

    #[test]
    fn a_length_past_the_end_is_refused_without_allocating() {
        let mut fields = Fields::of(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(fields.next(), Some(Err(ProtobufError::Truncated)));
        assert_eq!(fields.next(), None);
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        assert_eq!(
            Fields::of(&[0x0b]).next(),
            Some(Err(ProtobufError::WireType { wire_type: 3 }))
        );
        assert_eq!(
            Fields::of(&[0x00]).next(),
            Some(Err(ProtobufError::FieldNumber { number: 0 }))
        );
    }
}
