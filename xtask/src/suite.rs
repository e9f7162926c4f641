//! `cargo xtask test`: every test there is, part by part, and one line at the end that says how many passed.

mod count;
mod native;
mod part;
mod report;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};

use self::count::Count;
pub(crate) use self::native::SELECTION;
pub(crate) use self::part::Part;
use self::report::Report;

/// Runs `parts`, or all where none is named. Streams what they print; a failing part does not stop the others. What
/// failed is said once more at the end.
///
/// # Errors
/// When the summary cannot be written.
pub(crate) fn run(parts: &[Part]) -> Result<ExitCode> {
    let mut suite = Suite::default();
    let mut summary = Vec::new();
    let mut total = Count::default();
    let parts = if parts.is_empty() { Part::ALL } else { parts };
    for part in parts {
        let start = Instant::now();
        eprintln!("\n── {part} ──");
        let before = suite.count;
        if let Err(error) = part.run(&mut suite) {
            suite.fail(&part.to_string(), &error);
        }
        let count = Count {
            passed: suite.count.passed - before.passed,
            failed: suite.count.failed - before.failed,
        };
        total.add(count);
        summary.push(format!(
            "{part:<8} {count} in {:.0} s",
            start.elapsed().as_secs_f64()
        ));
    }
    for line in &suite.reports {
        println!("{line}");
    }
    println!();
    for line in summary.iter().chain(&suite.failures) {
        println!("{line}");
    }
    println!("{total}");
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What ran so far.
#[derive(Default)]
pub(crate) struct Suite {
    count: Count,
    /// One line for each failure.
    failures: Vec<String>,
    /// What the runners said of failed tests, once more for the end, where it is looked for.
    reports: Vec<String>,
    /// Compiled at most once, whatever parts need it.
    native: Option<native::Native>,
}

impl Suite {
    /// Runs `command` as one check: it passes when the command succeeds.
    fn check(&mut self, name: &str, command: &mut Command) {
        self.record(name, crate::process::run(command));
    }

    /// Counts `result` as one check.
    fn record<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.count.passed += 1;
                Some(value)
            }
            Err(error) => {
                self.fail(name, &error);
                None
            }
        }
    }

    /// Runs a test runner and counts its tests; returns how many ran.
    ///
    /// A runner that fails without naming a failed test (it crashed, or did not compile) counts as one failure.
    fn tests(&mut self, name: &str, command: &mut Command) -> u64 {
        let mut count = Count::default();
        let mut report = Report::default();
        let status = crate::process::follow(command, true, |line| {
            count.read_line(line);
            report.read_line(line);
        });
        self.count.add(count);
        let lines = report.into_lines();
        if !lines.is_empty() {
            self.reports.push(format!("\n── {name}, what failed ──"));
            self.reports.extend(lines);
        }
        match status {
            Err(error) => self.fail(name, &error),
            Ok(_) if count.failed > 0 => self
                .failures
                .push(format!("failed: {name}: {} tests", count.failed)),
            Ok(status) if !status.success() => {
                self.fail(name, &anyhow::anyhow!("ended with {status}"))
            }
            Ok(_) => {}
        }
        count.total()
    }

    /// As [`Self::tests`]; that none ran is a failure, because a filter or a file name went wrong then.
    fn some_tests(&mut self, name: &str, command: &mut Command) {
        let failed = self.count.failed;
        if self.tests(name, command) == 0 && self.count.failed == failed {
            self.fail(name, &anyhow::anyhow!("no test ran"));
        }
    }

    fn fail(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("failed: {name}: {error:#}");
        self.count.failed += 1;
        self.failures.push(format!("failed: {name}: {error:#}"));
    }

    /// Returns the native packages, compiled by the first call.
    fn native(&mut self) -> Result<&native::Native> {
        if self.native.is_none() {
            self.native = Some(native::Native::build()?);
        }
        match &self.native {
            Some(native) => Ok(native),
            None => bail!("the native packages were not built"),
        }
    }
}
