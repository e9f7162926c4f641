//! Numbers as differences from a base that the reader has, fast.
//!
//! Floats are put in the order of their values, so that two neighbours differ by one. Of each difference the length in bits
//! goes to a plane under a prefix code, sign and the bits below the first go as they are. Where a model was tuned, a
//! difference has a size that does not depend on its number's, so the exponent of the base is added to the length where
//! that makes the plane smaller. Numbers of other types are subtracted byte by byte and go to planes.
//!
//! # Bytes
//! For floats: how many low bits are clear in all numbers (a byte), 1 where exponents were added, else 0 (a byte), the plane
//! of lengths, the bits.

use alloc::vec::Vec;

use super::bits::{Plain, PlainReader, PlainWriter};
use super::error::CodecError;
use super::float::Float;
use super::plane::{self, Layout, Planes};

/// What is kept from chunk to chunk, so that memory is asked for once.
#[derive(Debug, Default)]
pub(super) struct Delta {
    lengths: Vec<u8>,
    exponents: Vec<u8>,
    planes: Planes,
    differences: Vec<u8>,
}

impl Delta {
    /// Packs floats. O(n).
    pub(super) fn pack_floats(&mut self, raw: &[u8], base: &[u8], float: Float, out: &mut Vec<u8>) {
        let clear = float.clear(raw);
        let short = float.without(clear);
        self.lengths.clear();
        self.exponents.clear();
        let mut bits = PlainWriter::default();
        for (number, base) in float.read(raw).zip(float.read(base)) {
            let (number, base) = (number >> clear, base >> clear);
            let difference = short.rank(number).wrapping_sub(short.rank(base));
            let size = difference.unsigned_abs();
            // At most 32: two numbers of 32 bits.
            let length = (64 - size.leading_zeros()) as u8;
            self.lengths.push(length);
            self.exponents
                .push(length.wrapping_add(short.exponent_of(base) as u8));
            if length > 0 {
                let below = size & ((1 << (length - 1)) - 1);
                let sign = u64::from(difference < 0);
                bits.code(u32::from(length), (below << 1 | sign) as u32);
            }
        }
        let added = plane::cost(&self.exponents) < plane::cost(&self.lengths);
        out.extend([clear as u8, u8::from(added)]);
        let lengths = if added {
            &self.exponents
        } else {
            &self.lengths
        };
        plane::put(lengths, out);
        out.extend(bits.finish());
    }

    /// Unpacks floats. O(n).
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are cut, too long or changed; what `raw` holds then means nothing.
    pub(super) fn unpack_floats(
        &mut self,
        bytes: &[u8],
        base: &[u8],
        float: Float,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        let (&[clear, added], rest) = bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
        let short = float.without_checked(u32::from(clear))?;
        if added > 1 {
            return Err(CodecError::Added { got: added });
        }
        let count = raw.len() / float.width();
        let (lengths, bits) = plane::take(rest, count, &mut self.lengths)?;
        let mut bits = PlainReader::new(bits);
        let places = raw.chunks_exact_mut(float.width());
        for ((place, length), base) in places.zip(lengths).zip(float.read(base)) {
            let base = base >> clear;
            let mut length = *length;
            if added == 1 {
                length = length.wrapping_sub(short.exponent_of(base) as u8);
            }
            let mut difference = 0;
            if length > 0 {
                if length > 32 {
                    return Err(CodecError::Length { got: length });
                }
                let low = u64::from(bits.code(u32::from(length), 0));
                let size = (1 << (length - 1) | low >> 1) as i64;
                difference = if low & 1 == 1 { -size } else { size };
            }
            let number = short.unrank(short.rank(base).wrapping_add(difference)) << clear;
            place
                .iter_mut()
                .zip(number.to_le_bytes())
                .for_each(|(to, from)| *to = from);
        }
        bits.finish()
    }

    /// Packs numbers that are no floats of up to 32 bits. O(n).
    pub(super) fn pack_bytes(
        &mut self,
        raw: &[u8],
        base: &[u8],
        layout: Layout,
        out: &mut Vec<u8>,
    ) {
        self.differences.clear();
        let differences = raw
            .iter()
            .zip(base)
            .map(|(raw, base)| raw.wrapping_sub(*base));
        self.differences.extend(differences);
        self.planes.pack(&self.differences, layout.bytes(), out);
    }

    /// Unpacks what [`Delta::pack_bytes`] wrote. O(n).
    ///
    /// # Errors
    /// As [`Planes::unpack`].
    pub(super) fn unpack_bytes(
        &mut self,
        bytes: &[u8],
        base: &[u8],
        layout: Layout,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        self.planes.unpack(bytes, layout.bytes(), raw)?;
        for (raw, base) in raw.iter_mut().zip(base) {
            *raw = raw.wrapping_add(*base);
        }
        Ok(())
    }
}
