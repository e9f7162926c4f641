//! Membership inference on the digits learner: how well an attacker who sees everything that a tab shares tells its
//! training examples from others, and what private mode costs in accuracy. Prints one JSON line per figure.
//!
//! In every run the 1,797 digits are divided anew, in each class by lot: four tabs that hold the issue's classes learn from
//! 1,442 and never see 355. So what a tab trained on and what it did not are exchangeable, and the other runs are the shadow
//! models of each. The attacker who regresses knows more than usual: all the candidates, among them every member.
//!
//! An advantage is the greatest difference over all thresholds: the threshold is chosen on the very candidates that are
//! measured. That is better than any attacker knows to choose, so the figures, and their intervals with them, lie above what
//! one threshold fixed beforehand would reach, by the more the fewer the candidates: also an attack that guesses by lot gets
//! more than 0.
//!
//! With `--scores` it prints each candidate's scores instead, for another program to evaluate; with `--only
//! NAME` one mode alone.

mod attack;
mod regression;
mod run;
mod watch;

use std::fmt::Write as _;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chorus_core::learner::{Digits, Privacy, Sample};
use chorus_core::privacy::ledger::Budget;
use chorus_core::training::Plan;
use chorus_core::training::lockstep::Private;

use attack::{ATTACKS, Estimate, Measured};
use run::{Run, learn};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let digits = Digits::parse(include_bytes!("../../../www/digits.bin"))?;
    let all = [digits.train, digits.test].concat();
    let is_dump = std::env::args().any(|argument| argument == "--scores");
    let mut arguments = std::env::args().skip_while(|argument| argument != "--only");
    let only = arguments.nth(1);
    for mode in MODES {
        if only.as_ref().is_some_and(|only| only != mode.name) {
            continue;
        }
        let samples: Vec<Sample> = all.iter().step_by(mode.one_in).copied().collect();
        let runs = repeat(&samples, mode)?;
        if is_dump {
            dump(mode, &runs);
        } else {
            report(mode, &runs)?;
        }
    }
    Ok(())
}

/// What is attacked.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    /// ε of the budget and the learner's rate, where training is private. More noise needs shorter steps: the rates are
    /// tuned on other seeds.
    private: Option<(f64, f32)>,
    /// Of how many samples one is used.
    one_in: usize,
    runs: usize,
}

impl Mode {
    fn private(&self) -> Option<Private> {
        self.private.map(|(epsilon, rate)| Private {
            plan: Plan {
                budget: Budget {
                    epsilon,
                    ..Budget::default()
                },
                ..Plan::default()
            },
            privacy: Privacy {
                rate,
                ..Privacy::default()
            },
        })
    }
}

const MODES: [Mode; 5] = [
    Mode {
        name: "plain",
        private: None,
        one_in: 1,
        runs: RUNS,
    },
    Mode {
        name: "private",
        private: Some((8.0, 0.0125)),
        one_in: 1,
        runs: RUNS,
    },
    Mode {
        name: "private_epsilon_2",
        private: Some((2.0, 0.004)),
        one_in: 1,
        runs: RUNS / 3,
    },
    // A tenth of the samples, learned by heart: shows that the attacks find what there is to find.
    Mode {
        name: "overfit_plain",
        private: None,
        one_in: 10,
        runs: RUNS,
    },
    Mode {
        name: "overfit_private",
        private: Some((8.0, 0.0125)),
        one_in: 10,
        runs: RUNS,
    },
];

/// Runs `mode` as often as it says, on all cores.
fn repeat(samples: &[Sample], mode: Mode) -> Result<Vec<Run>, Failure> {
    let private = mode.private();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Run)>, Failure> {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= mode.runs {
                return Ok(done);
            }
            let regresses = seed < REGRESSED;
            let run = learn(samples, private.as_ref(), seed as u64, regresses)?;
            done.push((seed, run));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut runs = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut runs = Vec::new();
        for worker in workers {
            runs.extend(worker.join().map_err(|_| "a run panicked")??);
        }
        Ok::<_, Failure>(runs)
    })?;
    runs.sort_by_key(|(seed, _)| *seed);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

fn report(mode: Mode, runs: &[Run]) -> Result<(), Failure> {
    let name = mode.name;
    let accuracy: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
    print_estimate(&format!("accuracy_{name}"), attack::mean(&accuracy));
    if let Some(Private { plan, .. }) = mode.private() {
        let spent = runs.iter().map(|run| run.epsilon).fold(0.0, f64::max);
        print(&format!("epsilon_{name}"), spent);
        print(&format!("bound_{name}"), attack::bound(spent));
        print(
            &format!("bound_gaussian_{name}"),
            attack::gaussian_bound(&plan)?,
        );
    }
    let measured: Vec<Measured> = ATTACKS
        .iter()
        .map(|attack| attack.measure(runs, REGRESSED))
        .collect();
    for (attack, measured) in ATTACKS.iter().zip(&measured) {
        let case = format!("{}_{name}", attack.name());
        print_estimate(&format!("advantage_{case}"), measured.advantage);
        print_estimate(&format!("auc_{case}"), measured.auc);
        print_estimate(&format!("tpr_at_1_percent_fpr_{case}"), measured.hits);
    }
    let strongest = measured
        .iter()
        .map(|measured| measured.advantage)
        .max_by(|a, b| a.value.total_cmp(&b.value));
    if let Some(strongest) = strongest {
        print_estimate(&format!("advantage_{name}"), strongest);
    }
    Ok(())
}

fn print_estimate(case: &str, estimate: Estimate) {
    print(case, estimate.value);
    print(&format!("{case}_low"), estimate.low);
    print(&format!("{case}_high"), estimate.high);
}

fn print(case: &str, value: f64) {
    println!(
        r#"{{"bench":"membership","system":"chorus","case":"{case}","value":{value:.4},"unit":""}}"#
    );
}

/// Prints `mode run tab sample is_member scores…` for every candidate.
fn dump(mode: Mode, runs: &[Run]) {
    for (number, run) in runs.iter().enumerate() {
        for candidate in &run.candidates {
            let mut line = format!(
                "{} {number} {} {} {}",
                mode.name,
                candidate.tab,
                candidate.sample,
                u8::from(candidate.is_member)
            );
            for score in candidate.scores {
                let _ = write!(line, " {score:?}");
            }
            println!("{line}");
        }
    }
}

/// Runs of each mode: the shadow models of one run are all the others.
const RUNS: usize = 48;
/// Runs of each mode in which the attacker regresses too, which needs no shadow models.
const REGRESSED: usize = 8;
