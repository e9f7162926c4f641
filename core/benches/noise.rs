//! Speed of differential privacy on one core: exact noise, a whole update, the accountant. Prints one JSON line per
//! figure.
//!
//! With `--accountant` it answers instead of measuring: each line `σ q steps δ` of standard input by its ε, for
//! `docs/accountant.py`.

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use chorus_core::digest::Digest;
use chorus_core::privacy::accountant::Cost;
use chorus_core::privacy::discrete::DiscreteGaussian;
use chorus_core::privacy::ledger::{Budget, Ledger};
use chorus_core::privacy::noise::{ClipNorm, Clipped, Neighbours, STEPS_PER_NORM, plan};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--accountant") {
        return answer();
    }
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let noise = DiscreteGaussian::new(2 * STEPS_PER_NORM).ok_or("sigma")?;
    let secs = median(|| {
        for _ in 0..SAMPLES {
            black_box(noise.sample(&mut rng));
        }
        Ok(())
    })?;
    print("noise", SAMPLES as f64 / secs / 1e6, "Msamples/s");

    let mut ledger = Ledger::new(
        Digest::sha256(b"bench"),
        Budget {
            epsilon: 1e6,
            delta: 1e-5,
        },
    )?;
    let mechanism = plan(2.0, Neighbours::Absent, 1.0)?;
    let mut grant = ledger.reserve(mechanism, RUNS as u64)?.stored();
    let norm = ClipNorm::new(1.0)?;
    let update: Vec<f32> = (0..PARAMETERS).map(|n| (n as f32).sin()).collect();
    let secs = median(|| {
        let noised = Clipped::new(black_box(&update), norm)?.noise(&mut grant, &mut rng)?;
        black_box(noised);
        Ok(())
    })?;
    print("clip and noise 5,000 parameters", secs * 1e3, "ms");

    let secs = median(|| {
        black_box(Cost::of_gaussian(black_box(1.0), 0.01)?.epsilon(1e-5)?);
        Ok(())
    })?;
    print("epsilon of a sampled release", secs * 1e3, "ms");
    Ok(())
}

/// Answers each line of standard input.
fn answer() -> Result<(), Failure> {
    let mut last: Option<([f64; 2], Cost)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let &[noise, rate, steps, delta] = fields.as_slice() else {
            return Err(format!("four numbers, got {line:?}").into());
        };
        let cost = match last.take() {
            Some((at, cost)) if at == [noise, rate] => cost,
            _ => Cost::of_gaussian(noise, rate)?,
        };
        println!("{:?}", cost.times(steps as u64).epsilon(delta)?);
        last = Some(([noise, rate], cost));
    }
    Ok(())
}

/// Returns the median time of [`RUNS`] runs, in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn median(mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}

fn print(case: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"noise","system":"chorus","case":"{case}","value":{value:.3},"unit":"{unit}"}}"#
    );
}

/// Samples of one run.
const SAMPLES: usize = 100_000;
/// Numbers of the built-in model, rounded up (it has 4,810).
const PARAMETERS: usize = 5_000;
/// Runs, of which the median is reported.
const RUNS: usize = 31;
