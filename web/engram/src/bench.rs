//! The codecs alone for the benchmark, as `core/benches/engram.rs` measures them natively. Not in the module that is shipped.

use std::hint::black_box;

use chorus_core::engram::pick::SAMPLE;
use chorus_core::engram::tensor::CHUNK;
use chorus_core::engram::{Codec, Coder, TensorInfo, pick};
use wasm_bindgen::prelude::*;

use crate::file::File;
use crate::pack::level;
use crate::problem::{DAMAGED, Problem};

/// A file, and the codec of each of its tensors.
#[wasm_bindgen]
pub struct CodecBench {
    file: File,
    codecs: Vec<Codec>,
    /// Coded chunks of each tensor; memory is asked for once.
    coded: Vec<Vec<Vec<u8>>>,
}

#[wasm_bindgen]
impl CodecBench {
    /// Picks the codecs of a level for a safetensors file.
    ///
    /// # Errors
    /// Those of [`File::open`] and [`level`].
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: Vec<u8>, name: &str) -> Result<Self, JsValue> {
        let (file, level) = (File::open(bytes)?, level(name)?);
        let (mut codecs, mut coded) = (Vec::new(), Vec::new());
        for (place, info) in file.tensors().iter().enumerate() {
            let numbers = file.numbers(place);
            let from = numbers.len().saturating_sub(SAMPLE) / 2 / 64 * 64;
            let sample = &numbers[from..numbers.len().min(from + SAMPLE)];
            codecs.push(pick(info, level, sample, None).codec);
            let chunks = numbers.len().div_ceil(CHUNK);
            coded.push(vec![Vec::with_capacity(CHUNK + 64); chunks]);
        }
        Ok(Self {
            file,
            codecs,
            coded,
        })
    }

    /// Numbers of the file.
    pub fn numbers(&self) -> f64 {
        self.file.parameters() as f64
    }

    /// Codes all numbers; returns the bytes.
    ///
    /// # Errors
    /// What a codec says.
    pub fn compress(&mut self) -> Result<usize, JsValue> {
        let mut bytes = 0;
        for (place, (info, codec)) in self.file.tensors().iter().zip(&self.codecs).enumerate() {
            let mut coder = coder(*codec, info)?;
            let chunks = self.file.numbers(place).chunks(CHUNK);
            for (raw, out) in chunks.zip(&mut self.coded[place]) {
                coder.encode(raw, None, out).map_err(wrong)?;
                bytes += out.len();
            }
        }
        Ok(bytes)
    }

    /// Decodes what was coded; returns the bytes.
    ///
    /// # Errors
    /// What a codec says.
    pub fn decompress(&self) -> Result<usize, JsValue> {
        self.decode(|_, _| true)
    }

    /// Decodes what was coded and compares.
    ///
    /// # Errors
    /// `ERR_DAMAGED` where it is not the file's.
    pub fn check(&self) -> Result<usize, JsValue> {
        self.decode(|back, raw| back == raw)
    }

    fn decode(&self, is_right: impl Fn(&[u8], &[u8]) -> bool) -> Result<usize, JsValue> {
        let (mut bytes, mut back) = (0, vec![0; CHUNK]);
        for (place, (info, codec)) in self.file.tensors().iter().zip(&self.codecs).enumerate() {
            let mut coder = coder(*codec, info)?;
            let chunks = self.file.numbers(place).chunks(CHUNK);
            for (raw, coded) in chunks.zip(&self.coded[place]) {
                let back = &mut back[..raw.len()];
                coder.decode(black_box(coded), None, back).map_err(wrong)?;
                if !is_right(black_box(back), raw) {
                    let message = format!("{} does not come back", info.name);
                    return Err(Problem::new(DAMAGED, message).into());
                }
                bytes += raw.len();
            }
        }
        Ok(bytes)
    }
}

fn coder(codec: Codec, info: &TensorInfo) -> Result<Coder, JsValue> {
    Coder::new(codec, &[], info, false).map_err(wrong)
}

fn wrong(error: impl ToString) -> JsValue {
    Problem::new(DAMAGED, error).into()
}
