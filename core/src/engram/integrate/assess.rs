//! Step two: is a delta any good, and for this model? By measurement on held-out data where there is any, else by what the
//! numbers say of themselves.

/// What is known of a delta before it is let in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// The metric (higher is better) of the model and of its shadow with the whole delta; `None` where nothing was measured.
    pub measured: Option<(f32, f32)>,
    /// Euclidean norm of the delta beside the model's, ≥ 0; 0 where the model is all zero.
    pub relative_norm: f32,
    /// Cosine between the delta and the model, -1..=1: near -1 it unlearns.
    pub cosine: f32,
    /// Cosine between the delta and what this node changed itself of late, -1..=1: how much it is about the same. 0 where
    /// nothing is known.
    pub relevance: f32,
}

impl Assessment {
    /// Adds what was measured: the metric of the model and of its shadow, higher is better.
    pub fn with_measured(self, model: f32, shadow: f32) -> Self {
        Self {
            measured: Some((model, shadow)),
            ..self
        }
    }
}

/// Returns what `delta` says of itself beside `model` and `recent` (both as many numbers, or none). Sums are doubles in
/// the order of the parameters. O(parameters).
pub fn proxy(model: &[f32], delta: &[f32], recent: &[f32]) -> Assessment {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let cosine = |a: &[f32], b: &[f32]| {
        let norms = libm::sqrt(dot(a, a)) * libm::sqrt(dot(b, b));
        if norms > 0.0 {
            (dot(a, b) / norms).clamp(-1.0, 1.0) as f32
        } else {
            0.0
        }
    };
    let norm = libm::sqrt(dot(model, model));
    Assessment {
        measured: None,
        relative_norm: if norm > 0.0 {
            (libm::sqrt(dot(delta, delta)) / norm) as f32
        } else {
            0.0
        },
        cosine: cosine(delta, model),
        relevance: cosine(delta, recent),
    }
}
