//! Deltas that are sent again and again with error feedback: what they cost, and what the model loses by it.
//!
//! Four nodes train a byte model of 121,000 numbers on parts of `train.txt`, six rounds of 30 steps; each sends what it learned,
//! all add the mean. Cases `text_loss` (nat a byte on `held_out.txt`), `text_loss_over_f32` (%), `text_bits` (a number and
//! round): medians over the seeds. Federated averaging of the digits learner as in algorithms.md, section 1 (20 clients of two shards, 100 rounds of
//! 5 epochs, batch 10, rate 0.05): cases `digits_accuracy` (%, mean of the last ten rounds over the seeds), `digits_lost` (points),
//! `digits_times` (how many times fewer bytes than f32 go up). Systems: `f32`, `chorus-…`.

mod digits;
mod text;

use chorus_core::engram::feedback::{Feedback, Share};
use chorus_core::engram::lossy::{Gain, Settings, Shape, Trellis};

type Failure = Box<dyn std::error::Error>;
/// Share of numbers that leave, step in their deviations, weight of a bit.
type Sending = (f32, f32, f32);
type Result<T> = std::result::Result<T, Failure>;

fn main() -> Result<()> {
    text::run()?;
    digits::run()
}

/// How a node sends its deltas.
struct Sender {
    /// Nothing where it sends f32.
    feedback: Option<(Feedback, Share)>,
    bytes: usize,
}

impl Sender {
    fn new(shapes: &[Shape], share: Option<Share>) -> Self {
        Self {
            feedback: share.map(|share| (Feedback::new(shapes), share)),
            bytes: 0,
        }
    }

    /// Returns what others read of `delta`. The state goes through its bytes each time, as if the page were reloaded.
    fn send(&mut self, shapes: &[Shape], delta: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let Some((feedback, share)) = &mut self.feedback else {
            self.bytes += 4 * delta.iter().map(|values| values.len()).sum::<usize>();
            return Ok(delta.iter().map(|values| values.to_vec()).collect());
        };
        *feedback = Feedback::from_bytes(&feedback.to_bytes(), shapes)?;
        let (bytes, said) = feedback.send(delta, share)?;
        self.bytes += bytes.len();
        Ok(said)
    }
}

/// Returns how much of a delta leaves.
fn share(largest: f32, step: f32, bit_weight: f32) -> Share {
    Share {
        largest,
        step,
        settings: Settings {
            bit_weight,
            trellis: Trellis::Eight,
            // Error feedback needs what is sent to be no more than what was learned.
            gain: Gain::Projection,
            ..Settings::new(1.0)
        },
    }
}

fn print(system: &str, case: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"engram-repeat","system":"{system}","case":"{case}","value":{value:.4},"unit":"{unit}"}}"#
    );
}
