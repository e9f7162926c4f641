//! Step one: does a delta fit the model? Checks names, shapes and numbers, and touches nothing.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// A named tensor of singles: plain data, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Elements per dimension; none for a single number.
    pub shape: &'a [usize],
    /// The elements, as many as the shape says.
    pub values: &'a [f32],
}

/// Why a delta does not fit a model. Every message names the tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The model has no such tensor.
    #[error("the model has no tensor {name:?}")]
    Unknown {
        /// The delta's name.
        name: String,
    },
    /// A name occurs twice.
    #[error("tensor {name:?} occurs more than once")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The shapes differ.
    #[error("tensor {name:?} must have the shape {expected:?}, got {got:?}")]
    Shape {
        /// The name.
        name: String,
        /// The delta's.
        got: Vec<usize>,
        /// The model's.
        expected: Vec<usize>,
    },
    /// There are not as many elements as the shape says.
    #[error("tensor {name:?} of shape {shape:?} has {got} elements")]
    Elements {
        /// The name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Elements there are.
        got: usize,
    },
    /// An element is infinite or not a number.
    #[error("element {index} of tensor {name:?} must be finite, got {got}")]
    NotFinite {
        /// The name.
        name: String,
        /// Its position.
        index: usize,
        /// Its value.
        got: f32,
    },
    /// A parameter would become infinite.
    #[error(
        "element {index} of tensor {name:?} must stay finite, got {model:?} and a delta of {delta:?}"
    )]
    Overflow {
        /// The name.
        name: String,
        /// Its position.
        index: usize,
        /// The model's value.
        model: f32,
        /// The delta's.
        delta: f32,
    },
    /// The model has more parameters than may be held.
    #[error("parameters must be at most {max}, got {got}")]
    TooLarge {
        /// How many there are.
        got: usize,
        /// How many may be.
        max: usize,
    },
}

/// Returns `delta` laid out like `model`, tensor after tensor, zero where the delta says nothing. O(parameters).
///
/// # Errors
/// [`Mismatch`] for the first thing that does not fit, in the order of the tensors given.
pub fn validate(
    model: &[Tensor<'_>],
    delta: &[Tensor<'_>],
    max_parameters: usize,
) -> Result<Vec<f32>, Mismatch> {
    let mut places: Vec<(&str, usize, usize)> = Vec::with_capacity(model.len());
    let mut total = 0usize;
    for (index, tensor) in model.iter().enumerate() {
        check(tensor)?;
        places.push((tensor.name, index, total));
        total = total.saturating_add(tensor.values.len());
    }
    if total > max_parameters {
        return Err(Mismatch::TooLarge {
            got: total,
            max: max_parameters,
        });
    }
    places.sort_unstable();
    let twice = places.windows(2).find(|pair| pair[0].0 == pair[1].0);
    if let Some(pair) = twice {
        return Err(Mismatch::Duplicate {
            name: pair[0].0.to_string(),
        });
    }
    let mut laid_out = vec![0.0; total];
    let mut is_set = vec![false; model.len()];
    for tensor in delta {
        check(tensor)?;
        let name = || tensor.name.to_string();
        let found = places.binary_search_by_key(&tensor.name, |(name, ..)| name);
        let (index, at) = match found.map(|found| places[found]) {
            Ok((_, index, at)) => (index, at),
            Err(_) => return Err(Mismatch::Unknown { name: name() }),
        };
        if core::mem::replace(&mut is_set[index], true) {
            return Err(Mismatch::Duplicate { name: name() });
        }
        if tensor.shape != model[index].shape {
            return Err(Mismatch::Shape {
                name: name(),
                got: tensor.shape.to_vec(),
                expected: model[index].shape.to_vec(),
            });
        }
        laid_out[at..at + tensor.values.len()].copy_from_slice(tensor.values);
    }
    Ok(laid_out)
}

fn check(tensor: &Tensor<'_>) -> Result<(), Mismatch> {
    let name = || tensor.name.to_string();
    let elements = tensor
        .shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d));
    if elements != Some(tensor.values.len()) {
        return Err(Mismatch::Elements {
            name: name(),
            shape: tensor.shape.to_vec(),
            got: tensor.values.len(),
        });
    }
    match tensor.values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Mismatch::NotFinite {
            name: name(),
            index,
            got: tensor.values[index],
        }),
        None => Ok(()),
    }
}

/// Says whether the model stays finite with all of `delta`, and so with any share of it.
pub(super) fn check_sum(
    model: &[Tensor<'_>],
    before: &[f32],
    delta: &[f32],
) -> Result<(), Mismatch> {
    let mut pairs = before.iter().zip(delta);
    for tensor in model {
        let own = pairs.by_ref().take(tensor.values.len());
        let is_past = |(_, (model, delta)): &(usize, (&f32, &f32))| !(*model + *delta).is_finite();
        if let Some((index, (model, delta))) = own.enumerate().find(is_past) {
            return Err(Mismatch::Overflow {
                name: tensor.name.to_string(),
                index,
                model: *model,
                delta: *delta,
            });
        }
    }
    Ok(())
}

/// The name and shape of a tensor whose values lie in one row with the others.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    name: String,
    shape: Vec<usize>,
    len: usize,
}

impl Owned {
    pub(super) fn of(tensor: &Tensor<'_>) -> Self {
        Self {
            name: tensor.name.to_string(),
            shape: tensor.shape.to_vec(),
            len: tensor.values.len(),
        }
    }

    pub(super) fn view<'a>(
        tensors: &'a [Self],
        mut values: &'a [f32],
    ) -> impl Iterator<Item = Tensor<'a>> {
        tensors.iter().map(move |tensor| {
            let (own, rest) = values.split_at_checked(tensor.len).unwrap_or((values, &[]));
            values = rest;
            Tensor {
                name: &tensor.name,
                shape: &tensor.shape,
                values: own,
            }
        })
    }
}
