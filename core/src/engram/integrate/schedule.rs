//! How fast a delta is let in, and when it is taken out again.

use crate::bounds::RangeError;

/// Settings of an integration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Share that is let in first, > 0 and ≤ 1. Default 0.125. Guess: an eighth does little harm, and three steps of
    /// `growth` make it whole.
    pub first_alpha: f32,
    /// Factor from one share to the next while the metric does not fall, > 1 and ≤ 16. Default 2. Guess.
    pub growth: f32,
    /// Smallest change of the share worth another measurement, > 0 and ≤ 1. Default 0.03. Guess: a thirtieth of a delta is
    /// within the noise of a held-out set.
    pub least_change: f32,
    /// Measurements until the best share so far is kept, 1..=64. Default 8. Guess: four up, four to find the peak.
    pub most_blends: u32,
    /// Fall of the metric that rolls back, ≥ 0, in the metric's unit. Default 0.01. Guess: one point of accuracy.
    pub most_loss: f32,
    /// Fall on the shadow with the whole delta up to which shares are tried at all, ≥ 0. Default 0.2. Guess: a part may help
    /// where the whole hurts.
    pub most_shadow_loss: f32,
    /// Greatest norm of the delta beside the model's where nothing could be measured, > 0. Default 1. Guess: a delta
    /// larger than the model replaces it.
    pub most_relative_norm: f32,
    /// Least relevance where nothing could be measured, -1..=1. Default -0.5. Guess: what points against all that was
    /// learned here is kept out.
    pub least_relevance: f32,
    /// Parameters of a model, 1..=2³¹. Default 2²⁶, 768 MB in all. Guess: more than a tab may hold.
    pub max_parameters: usize,
    /// Lines of the audit trail, 1..=65 536. Default 64. Guess: an integration writes at most a dozen.
    pub most_entries: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first_alpha: 0.125,
            growth: 2.0,
            least_change: 0.03,
            most_blends: 8,
            most_loss: 0.01,
            most_shadow_loss: 0.2,
            most_relative_norm: 1.0,
            least_relevance: -0.5,
            max_parameters: 1 << 26,
            most_entries: 64,
        }
    }
}

impl Config {
    /// Says whether every setting is within its range.
    ///
    /// # Errors
    /// [`RangeError`] with the field, its value and its bounds.
    pub fn validate(&self) -> Result<(), RangeError> {
        let check = RangeError::check;
        let tiny = f64::from(f32::MIN_POSITIVE);
        let most = f64::from(f32::MAX);
        let first_alpha = f64::from(self.first_alpha);
        check("integrate.first_alpha", first_alpha, tiny, 1.0)?;
        let growth = f64::from(self.growth);
        check("integrate.growth", growth, 1.0 + 1e-6, 16.0)?;
        let least_change = f64::from(self.least_change);
        check("integrate.least_change", least_change, tiny, 1.0)?;
        let most_blends = f64::from(self.most_blends);
        check("integrate.most_blends", most_blends, 1.0, 64.0)?;
        let most_loss = f64::from(self.most_loss);
        check("integrate.most_loss", most_loss, 0.0, most)?;
        let shadow_loss = f64::from(self.most_shadow_loss);
        check("integrate.most_shadow_loss", shadow_loss, 0.0, most)?;
        let norm = f64::from(self.most_relative_norm);
        check("integrate.most_relative_norm", norm, tiny, most)?;
        let relevance = f64::from(self.least_relevance);
        check("integrate.least_relevance", relevance, -1.0, 1.0)?;
        let parameters = self.max_parameters as f64;
        check("integrate.max_parameters", parameters, 1.0, 2_147_483_648.0)?;
        let entries = self.most_entries as f64;
        check("integrate.most_entries", entries, 1.0, 65_536.0)
    }
}
