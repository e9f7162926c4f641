//! In which order samples are trained on.

use alloc::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::learner::mlp::shuffle;

/// The order in which a node goes through its samples: every one once, then all in another order.
pub(super) struct Order {
    indices: Vec<usize>,
    next: usize,
    rng: ChaCha8Rng,
}

impl Order {
    pub(super) fn new(samples: usize, seed: u64) -> Self {
        Self {
            indices: (0..samples).collect(),
            next: samples,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Returns up to `batch` indices; none where there are no samples.
    pub(super) fn next_batch(&mut self, batch: u32) -> Vec<usize> {
        let mut taken = Vec::new();
        while taken.len() < batch as usize && !self.indices.is_empty() {
            if self.next >= self.indices.len() {
                shuffle(&mut self.indices, &mut self.rng);
                self.next = 0;
            }
            taken.push(self.indices[self.next]);
            self.next += 1;
        }
        taken
    }
}
