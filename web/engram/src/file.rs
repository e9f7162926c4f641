//! A safetensors file in memory.

use chorus_core::digest::Digest;
use chorus_core::engram::safetensors::Header;
use chorus_core::engram::{Limits, TensorInfo};
use serde::Serialize;

use crate::problem::{DAMAGED, Problem};

/// A safetensors file: its header, and where in its bytes each tensor begins.
#[derive(Clone, Debug)]
pub struct File {
    header: Header,
    starts: Vec<usize>,
    bytes: Vec<u8>,
}

/// What is shown of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Bytes of the whole file.
    pub bytes: usize,
    /// Numbers of all tensors.
    pub parameters: u64,
    /// SHA-256 of the file, hex.
    pub digest: Digest,
    /// The tensors, in the order of their numbers.
    pub tensors: Vec<Shown>,
    /// The entries of `__metadata__`.
    pub metadata: Vec<(String, String)>,
}

/// What is shown of a tensor.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// The type of its numbers, in lower case, as `www/chorus.d.ts` names types.
    pub dtype: String,
    /// Numbers per dimension.
    pub shape: Vec<u64>,
    /// Bytes of its numbers.
    pub bytes: u64,
}

impl File {
    /// Reads the header of `bytes`, a whole file.
    ///
    /// # Errors
    /// `ERR_DAMAGED` for what is no safetensors file, or is longer or shorter than its header says; `ERR_TOO_LARGE`.
    pub fn open(bytes: Vec<u8>) -> Result<Self, Problem> {
        // What is no such file at all begins with any number.
        let announced = bytes.first_chunk().map(|len| u64::from_le_bytes(*len));
        if announced.is_none_or(|len| len >= bytes.len() as u64) {
            let message = "a safetensors file must begin with the length of its header";
            return Err(Problem::new(DAMAGED, message));
        }
        let header = Header::parse(&bytes, &limits())?;
        header.check_file_len(bytes.len() as u64)?;
        let (mut starts, mut start) = (Vec::new(), header.bytes().len());
        for info in header.tensors() {
            starts.push(start);
            start += len_of(info);
        }
        Ok(Self {
            header,
            starts,
            bytes,
        })
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the tensors in the order of their numbers.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.header.tensors()
    }

    /// Returns the whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the whole file back.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the numbers of the tensor at `place`; none where there is no such tensor.
    pub fn numbers(&self, place: usize) -> &[u8] {
        let from = self.starts.get(place).copied().unwrap_or(self.bytes.len());
        let to = self.starts.get(place + 1).copied();
        let to = to.unwrap_or(self.bytes.len());
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// Returns the place of the tensor with the name, type and shape of `info`.
    pub fn find(&self, info: &TensorInfo) -> Option<usize> {
        self.tensors().iter().position(|own| own == info)
    }

    /// Returns how many numbers there are, as far as they are of at least eight bits.
    pub fn parameters(&self) -> u64 {
        let count = |info: &TensorInfo| len_of(info) as u64 * 8 / info.dtype.bits();
        self.tensors().iter().map(count).sum()
    }

    /// Returns a file with the names and metadata of this one and no number: what is searched before anything is shared.
    ///
    /// # Errors
    /// None that a file has not that was read.
    pub fn names(&self) -> Result<Vec<u8>, Problem> {
        let empty = |info: &TensorInfo| TensorInfo {
            shape: vec![0],
            ..info.clone()
        };
        let tensors = self.tensors().iter().map(empty).collect();
        let header = Header::new(tensors, self.header.metadata().to_vec(), &limits())?;
        Ok(header.bytes().to_vec())
    }

    /// Returns this file with the names and metadata of `names`, which [`Self::names`] made and somebody changed.
    ///
    /// # Errors
    /// `ERR_DAMAGED` where `names` has other tensors, or the same name twice.
    pub fn renamed(&self, names: &[u8]) -> Result<Vec<u8>, Problem> {
        let names = Header::parse(names, &limits())?;
        if names.tensors().len() != self.tensors().len() {
            let (got, expected) = (names.tensors().len(), self.tensors().len());
            let message = format!("{expected} names are needed, got {got}");
            return Err(Problem::new(DAMAGED, message));
        }
        let both = self.tensors().iter().zip(names.tensors());
        let rename = |(info, named): (&TensorInfo, &TensorInfo)| TensorInfo {
            name: named.name.clone(),
            ..info.clone()
        };
        let header = Header::new(
            both.map(rename).collect(),
            names.metadata().to_vec(),
            &limits(),
        )?;
        let numbers = self.bytes.get(self.header.bytes().len()..);
        Ok([header.bytes(), numbers.unwrap_or_default()].concat())
    }

    /// Returns what is shown of the file. O(bytes).
    pub fn info(&self) -> Info {
        let shown = |info: &TensorInfo| Shown {
            name: info.name.clone(),
            dtype: info.dtype.name().to_lowercase(),
            shape: info.shape.clone(),
            bytes: len_of(info) as u64,
        };
        Info {
            bytes: self.bytes.len(),
            parameters: self.parameters(),
            digest: Digest::sha256(&self.bytes),
            tensors: self.tensors().iter().map(shown).collect(),
            metadata: self.header.metadata().to_vec(),
        }
    }
}

/// Returns the bytes of a tensor's numbers. A header that was read has no tensor of more than memory.
pub fn len_of(info: &TensorInfo) -> usize {
    info.bytes().unwrap_or_default() as usize
}

/// The bounds for what a tab reads.
pub fn limits() -> Limits {
    Limits {
        max_bytes: MAX_BYTES,
        ..Limits::default()
    }
}

/// Bytes of all numbers of a file in a tab: 1 GiB. Guess: three times that fits into the 4 GiB that a wasm can address.
pub const MAX_BYTES: u64 = 1 << 30;

#[cfg(test)]
pub(crate) mod tests {
    use chorus_core::engram::Dtype;

    use super::*;

    /// Makes a file of tensors, each with its numbers.
    pub(crate) fn file(tensors: &[(&str, Dtype, &[u64], Vec<u8>)]) -> Vec<u8> {
        let info = |(name, dtype, shape, _): &(&str, Dtype, &[u64], Vec<u8>)| TensorInfo {
            name: (*name).into(),
            dtype: *dtype,
            shape: shape.to_vec(),
        };
        let header = Header::new(tensors.iter().map(info).collect(), Vec::new(), &limits());
        let mut bytes = header.unwrap().bytes().to_vec();
        for (.., numbers) in tensors {
            bytes.extend(numbers);
        }
        bytes
    }

    /// Singles that look like weights, the same for the same seed.
    pub(crate) fn singles(count: usize, seed: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / 4_294_967_296.0 - 0.5
        };
        let mut number = || (uniform() + uniform() + uniform() + uniform()) as f32 * 0.1;
        (0..count).flat_map(|_| number().to_le_bytes()).collect()
    }

    #[test]
    fn a_file_gives_each_tensor_its_numbers() {
        let bytes = file(&[
            ("a", Dtype::F32, &[2, 2], singles(4, 1)),
            ("e", Dtype::I8, &[0], Vec::new()),
            ("b", Dtype::U8, &[3], vec![7, 8, 9]),
        ]);
        let file = File::open(bytes.clone()).unwrap();
        assert_eq!(file.numbers(0), singles(4, 1));
        assert_eq!(
            (file.numbers(1), file.numbers(2), file.numbers(3)),
            (&[][..], &[7, 8, 9][..], &[][..])
        );
        let info = file.info();
        assert_eq!((info.parameters, info.bytes), (7, bytes.len()));
        assert_eq!(
            (info.tensors[2].dtype.as_str(), info.tensors[0].bytes),
            ("u8", 16)
        );
        assert_eq!(file.into_bytes(), bytes);
        let cut = File::open(bytes[..bytes.len() - 1].to_vec()).unwrap_err();
        assert_eq!(cut.code, DAMAGED);
        for other in [&b""[..], b"short", b"a text of more than eight bytes"] {
            assert_eq!(File::open(other.to_vec()).unwrap_err().code, DAMAGED);
        }
    }

    #[test]
    fn names_are_searched_without_their_numbers_and_put_back_by_order() {
        let tensors = |name| {
            file(&[
                ("10", Dtype::F32, &[4], singles(4, 1)),
                (name, Dtype::I8, &[0], Vec::new()),
                ("2", Dtype::U8, &[3], vec![7, 8, 9]),
            ])
        };
        let file = File::open(tensors("ada@example.org")).unwrap();
        let names = file.names().unwrap();
        assert!(names.len().is_multiple_of(8) && File::open(names.clone()).is_ok());
        let text = String::from_utf8(names[8..].to_vec()).unwrap();
        // As long as before, so that the length holds.
        let cleaned = text.replace("ada@example.org", "[email]........");
        let cleaned = [&names[..8], cleaned.as_bytes()].concat();
        assert_eq!(file.renamed(&cleaned).unwrap(), tensors("[email]........"));
        assert_eq!(file.renamed(&names).unwrap(), file.bytes());
        let fewer = self::file(&[]);
        assert_eq!(file.renamed(&fewer).unwrap_err().code, DAMAGED);
    }
}
