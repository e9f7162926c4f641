//! Well-known codecs beside ours: LZMA and pcodec, each behind a feature of its own, because a page does without them.

use alloc::vec::Vec;

use super::error::CodecError;
use super::tensor::Dtype;

/// Whether this build has LZMA.
pub(super) const HAS_LZMA: bool = cfg!(feature = "lzma");
/// Whether this build has pcodec.
pub(super) const HAS_PCO: bool = cfg!(feature = "pco");

/// Whether pcodec has a type for these numbers.
pub(super) const fn codes_pco(dtype: Dtype) -> bool {
    !matches!(
        dtype,
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::C64
    )
}

/// Packs with LZMA.
///
/// # Errors
/// [`CodecError::Absent`].
#[cfg(not(feature = "lzma"))]
pub(super) fn lzma(_: &[u8], _: &mut Vec<u8>) -> Result<(), CodecError> {
    Err(CodecError::Absent { codec: "lzma" })
}

/// Unpacks LZMA.
///
/// # Errors
/// [`CodecError::Absent`].
#[cfg(not(feature = "lzma"))]
pub(super) fn unlzma(_: &[u8], _: &mut [u8]) -> Result<(), CodecError> {
    Err(CodecError::Absent { codec: "lzma" })
}

/// Packs with pcodec.
///
/// # Errors
/// [`CodecError::Absent`].
#[cfg(not(feature = "pco"))]
pub(super) fn pco(_: &[u8], _: Dtype, _: &mut Vec<u8>) -> Result<(), CodecError> {
    Err(CodecError::Absent { codec: "pco" })
}

/// Unpacks pcodec.
///
/// # Errors
/// [`CodecError::Absent`].
#[cfg(not(feature = "pco"))]
pub(super) fn unpco(_: &[u8], _: Dtype, _: &mut [u8]) -> Result<(), CodecError> {
    Err(CodecError::Absent { codec: "pco" })
}
